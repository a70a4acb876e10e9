# The image: Debian 13 with Vulkan for every GPU vendor and for none, Bun, the server. docs/deployment.md says how to build and run
# it and why it is made like this; scripts/container/run-dockerfile.ts runs these steps without a Docker engine.
ARG BUN_VERSION=1.4.4
FROM oven/bun:${BUN_VERSION}-slim AS bun

FROM debian:13.7-slim

# Mesa brings the drivers for AMD and Intel and the software driver, which is several times faster in the backports. NVIDIA's driver
# comes from the host when the container starts; it needs libegl1, libx11-6 and libxext6 though there is no display.
ARG MESA_SUITE=trixie-backports
RUN sed -i 's/^Suites: trixie trixie-updates$/& trixie-backports/' /etc/apt/sources.list.d/debian.sources \
  && apt-get update \
  && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends --target-release "$MESA_SUITE" \
    ca-certificates libegl1 libvulkan1 libx11-6 libxext6 mesa-vulkan-drivers \
  && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/cache/ldconfig/* /var/log/apt /var/log/dpkg.log
COPY --from=bun /usr/local/bin/bun /usr/local/bin/bun
RUN useradd --create-home --uid 1000 wgslm

WORKDIR /app
COPY package.json bun.lock ./
# What peers bring for compiling, and the GPU binding of other systems, are never used here.
RUN --mount=type=cache,target=/root/.bun/install/cache \
  bun install --frozen-lockfile --production \
  && rm -r node_modules/typescript node_modules/@typescript node_modules/bun-types node_modules/@types \
  && find node_modules/webgpu/dist -mindepth 1 -maxdepth 1 ! -name "linux-$(bun -p process.arch)" -exec rm -r {} +

# The model comes before the sources, and needs few of them, so that a new version of the server does not fetch it again.
COPY src/runtime/flock.ts src/runtime/
COPY src/engine/types.ts src/engine/
COPY src/engine/weights src/engine/weights
COPY scripts/container/image/bake.ts scripts/container/image/baked-model.ts scripts/container/image/
ARG MODEL_NAME
ARG MODEL_REVISION
ARG TOKENIZER_NAME
ARG TOKENIZER_REVISION
ARG QUANTIZATION
ARG BASE_PATH
ARG HF_ENDPOINT
RUN --mount=type=secret,id=HF_TOKEN bun scripts/container/image/bake.ts

COPY . .
# A checkout may be private to its user; the server's user is another one. What was baked in has to suit this version.
RUN chmod -R a+rX LICENSE models package.json scripts src && bun scripts/container/image/check-baked.ts

# `all` because NVIDIA's Vulkan driver is not among the toolkit's default capabilities. LD_LIBRARY_PATH is where GKE puts it.
# Shaders are cached in /tmp, the one place that has to be writable.
ENV NVIDIA_VISIBLE_DEVICES=all \
  NVIDIA_DRIVER_CAPABILITIES=all \
  LD_LIBRARY_PATH=/usr/local/nvidia/lib:/usr/local/nvidia/lib64 \
  XDG_RUNTIME_DIR=/tmp \
  MESA_SHADER_CACHE_DIR=/tmp \
  __GL_SHADER_DISK_CACHE_PATH=/tmp \
  HOME=/home/wgslm \
  BASE_PATH=${BASE_PATH:-/runpod-volume}
RUN install --directory --owner=1000 --group=1000 "$BASE_PATH"

# A number, because Kubernetes can tell only of numbers that they are not root's.
ARG RUN_AS=1000:1000
USER ${RUN_AS}

EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=30m --retries=3 \
  CMD ["bun", "/app/scripts/container/image/health.ts"]
ENTRYPOINT ["bun", "/app/scripts/container/image/start.ts"]
