# docker buildx bake            the image, models are fetched at run time
# docker buildx bake baked      the image with a model inside: MODEL_NAME=Qwen/Qwen3-0.6B docker buildx bake baked
# docker buildx bake runpod     the same as the first, for RunPod workers whose network volume belongs to root

variable "IMAGE" {
  default = "wgslm"
}

variable "VERSION" {
  default = "0.1.0"
}

variable "MODEL_NAME" {
  default = ""
}

variable "MODEL_REVISION" {
  default = ""
}

variable "TOKENIZER_NAME" {
  default = ""
}

variable "TOKENIZER_REVISION" {
  default = ""
}

variable "QUANTIZATION" {
  default = ""
}

variable "BASE_PATH" {
  default = ""
}

variable "HF_TOKEN" {
  default = ""
}

group "default" {
  targets = ["wgslm"]
}

target "wgslm" {
  context    = "."
  dockerfile = "Dockerfile"
  platforms  = ["linux/amd64"]
  tags       = ["${IMAGE}:${VERSION}", "${IMAGE}:latest"]
}

target "baked" {
  inherits = ["wgslm"]
  tags     = ["${IMAGE}:${VERSION}-${replace(lower(MODEL_NAME), "/", "-")}"]
  args = {
    MODEL_NAME         = MODEL_NAME
    MODEL_REVISION     = MODEL_REVISION
    TOKENIZER_NAME     = TOKENIZER_NAME
    TOKENIZER_REVISION = TOKENIZER_REVISION
    QUANTIZATION       = QUANTIZATION
    BASE_PATH          = BASE_PATH
  }
  secret = HF_TOKEN == "" ? [] : ["type=env,id=HF_TOKEN"]
}

target "runpod" {
  inherits = ["wgslm"]
  tags     = ["${IMAGE}:${VERSION}-runpod"]
  args = {
    RUN_AS = "root"
  }
}
