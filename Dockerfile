# syntax=docker/dockerfile:1
# For a CPU:  docker build -t cktat .
# For a GPU:  docker build -t cktat --build-arg TORCH=cu130 .
#             docker run --rm --gpus all -v "$PWD:/work" cktat doctor
FROM python:3.12-slim

# The build of torch, as in https://download.pytorch.org/whl/TORCH. One with CUDA brings its libraries; the host needs the driver alone.
ARG TORCH=cpu

WORKDIR /src
COPY constraints.txt ./
# a layer of its own: torch is most of the image, and changes least
RUN grep '^torch==' constraints.txt > torch.txt \
    && pip install --no-cache-dir -r torch.txt --index-url "https://download.pytorch.org/whl/${TORCH}"
COPY pyproject.toml README.md LICENSE ./
COPY src ./src
# torch keeps its build: the constraints ask for a version, not for a build
RUN pip install --no-cache-dir -c constraints.txt . && rm -rf /src/*

RUN useradd --uid 1000 --create-home user
USER 1000
# runs, data and decoded images lie under the mounted folder, and outlive the container
ENV CKTAT_STORE=/work/runs CKTAT_DATA=/work/data CKTAT_CACHE=/work/.cache
WORKDIR /work
ENTRYPOINT ["cktat"]
CMD ["--help"]
