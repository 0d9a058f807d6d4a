# Framewire as a plain user with a read-only root. Build and run:
#   docker build -t framewire .
#   docker run --read-only --tmpfs /tmp:size=512m --cap-drop ALL --security-opt no-new-privileges \
#     -v framewire:/data -v "$PWD/tokens:/run/secrets/tokens:ro" -p 7860:7860 framewire
# `tokens` is a file of lines ROLE:TOKEN (see SECURITY.md) that user 10001 may read. Put a proxy with TLS in front.
FROM python:3.11-slim

ENV PIP_NO_CACHE_DIR=1 PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 HF_HUB_OFFLINE=1 HF_HUB_DISABLE_TELEMETRY=1 \
    GRADIO_ANALYTICS_ENABLED=False GRADIO_TEMP_DIR=/tmp/gradio HOME=/data FRAMEWIRE_MODELS=/data/models

WORKDIR /opt/framewire
COPY requirements.lock pyproject.toml README.md framewire.py ./
# torch's CPU build is a quarter of the default one, and nothing here has a GPU.
RUN pip install --extra-index-url https://download.pytorch.org/whl/cpu --requirement requirements.lock
COPY annotations annotations
COPY classifier classifier
COPY training training
COPY demo demo
RUN pip install --no-deps --no-build-isolation --editable . \
 && useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin framewire \
 && install -d -o framewire -g framewire /data /data/models

USER 10001
VOLUME /data
EXPOSE 7860
HEALTHCHECK --interval=30s --timeout=5s --start-period=120s --retries=3 \
  CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:7860/readyz', timeout=4)"]
STOPSIGNAL SIGTERM
# The first start joins the released model to its encoder, which takes about two minutes and 2 GB in /data.
CMD ["sh", "-c", "[ -e /data/models/current ] || framewire models install; exec framewire serve --host 0.0.0.0 --tokens /run/secrets/tokens"]
