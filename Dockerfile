# The server with the deck, its page at /. The catalog is a volume; nothing is written but the index, in /cache.
#   docker build -t tapedeck .
#   docker run -p 127.0.0.1:8000:8000 -e TAPEDECK_API_KEY=... -v "$PWD/data:/catalog:ro" tapedeck

FROM node:24-slim AS deck
WORKDIR /srv/deck
COPY deck/ ./
RUN npm ci && npm run build -- --outDir /srv/built --emptyOutDir

FROM python:3.12-slim AS build
WORKDIR /srv/tapedeck
COPY requirements.lock ./
RUN python -m venv /srv/venv \
    && /srv/venv/bin/python -m pip install --no-cache-dir --no-compile --require-hashes -r requirements.lock

FROM python:3.12-slim
LABEL org.opencontainers.image.title="tapedeck" \
      org.opencontainers.image.description="A market-replay server"
RUN groupadd --system --gid 10001 tapedeck \
    && useradd --system --uid 10001 --gid tapedeck --no-create-home --shell /usr/sbin/nologin tapedeck \
    && install --directory --owner=tapedeck --group=tapedeck /catalog /cache
WORKDIR /srv/tapedeck
COPY --from=build /srv/venv /srv/venv
COPY settings.py ./
COPY app/ app/
COPY --from=deck /srv/built app/api/built
ENV PATH=/srv/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    DATA_CATALOG_URI=/catalog \
    TAPEDECK_CACHE_DIR=/cache \
    TAPEDECK_HOST=0.0.0.0 \
    TAPEDECK_PORT=8000
USER 10001:10001
VOLUME ["/catalog", "/cache"]
EXPOSE 8000
# Beyond loopback the server refuses to start without TAPEDECK_API_KEY.
HEALTHCHECK --interval=15s --timeout=5s --start-period=20s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/api/v1/health', timeout=4)"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["python", "-m", "app.cli"]
CMD ["serve"]
