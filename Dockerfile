# Debian 13: its own Mesa is new enough to be the driver of last resort where the container sees no GPU.
FROM oven/bun:1.4.4-slim AS bun

FROM debian:trixie-slim
# libxext6 and libegl1 are what NVIDIA's Vulkan driver loads when the container toolkit brings it in.
RUN apt-get update \
  && apt-get install --yes --no-install-recommends ca-certificates libegl1 libvulkan1 libxext6 mesa-vulkan-drivers \
  && rm -rf /var/lib/apt/lists/* \
  && useradd --create-home --uid 1000 wgslm
COPY --from=bun /usr/local/bin/bun /usr/local/bin/bun

WORKDIR /app
COPY package.json bun.lock ./
RUN bun install --frozen-lockfile --production
COPY . .

# The image is complete: set-up only checks. Only `all` gives the container NVIDIA's Vulkan driver beside CUDA's.
ENV WGSLM_NO_INSTALL=1 \
  NVIDIA_DRIVER_CAPABILITIES=all \
  NVIDIA_VISIBLE_DEVICES=all \
  XDG_RUNTIME_DIR=/tmp \
  HF_HOME=/home/wgslm/.cache/huggingface
USER wgslm
RUN mkdir -p "$HF_HOME"
VOLUME /home/wgslm/.cache/huggingface

EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=120s --retries=3 \
  CMD ["bun", "-e", "process.exit((await fetch(`http://127.0.0.1:${process.env.PORT || 8000}/health`)).ok ? 0 : 1)"]
STOPSIGNAL SIGTERM
CMD ["bun", "run", "serve"]
