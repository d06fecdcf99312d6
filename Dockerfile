# The page of realesrgan-vk for a browser (docs/how-to/page.md).
FROM python:3.13-slim AS build
RUN apt-get update \
    && apt-get install -y --no-install-recommends g++ \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
RUN pip wheel --no-cache-dir --wheel-dir /wheels '.[page]'

FROM python:3.13-slim
# The loader, and the drivers of AMD and Intel; NVIDIA's comes from its container toolkit.
RUN apt-get update \
    && apt-get install -y --no-install-recommends libvulkan1 mesa-vulkan-drivers \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home --uid 1000 page \
    && install --directory --owner page --mode 700 /jobs
COPY --from=build /wheels /wheels
RUN pip install --no-cache-dir --no-index --find-links /wheels 'realesrgan-vk[page]' && rm -rf /wheels
USER page
VOLUME /jobs
EXPOSE 8632
ENV NVIDIA_DRIVER_CAPABILITIES=graphics,compute,utility
HEALTHCHECK --start-period=20s CMD ["python", "-c", \
    "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8632/healthz', timeout=5)"]
ENTRYPOINT ["realesrgan-vk", "page", "--listen", "0.0.0.0", "--port", "8632", "--no-open", "--folder", "/jobs"]
