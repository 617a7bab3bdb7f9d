# A service of one exported classifier, without torch:
#
#   frostline export RUN --format onnx
#   docker build --tag frostline .
#   docker run --publish 8000:8000 --volume "$PWD/RUN/exports/onnx:/classifier:ro" frostline
#
# For an OpenVINO artefact, build with `--build-arg RUNTIME=openvino`. A token is given by `--env FROSTLINE_TOKEN=...`.

FROM python:3.11-slim AS build
ARG RUNTIME=runtime
WORKDIR /source
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY src src
RUN python -m venv /opt/frostline \
    && /opt/frostline/bin/pip install --no-cache-dir --constraint constraints.txt ".[$RUNTIME,serve]"

FROM python:3.11-slim
COPY --from=build /opt/frostline /opt/frostline
RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin frostline
USER 10001
# glibc would keep blocks of a megabyte and more when they are given back: 300 to 400 MB after 10,000 odd files.
ENV PATH=/opt/frostline/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 MALLOC_MMAP_THRESHOLD_=1048576
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/readyz', timeout=3)"]
ENTRYPOINT ["frostline", "serve"]
CMD ["/classifier", "--host", "0.0.0.0"]
