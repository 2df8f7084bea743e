# The demo and its embedded models; docs/spaces.md says how to start it. Of its files it writes none but in /tmp.
FROM python:3.12-slim

WORKDIR /app
COPY requirements.txt ./
# PyPI's torch brings 2 GB of CUDA along, so torch comes from its own index, for processors alone.
RUN pip install --no-cache-dir "torch>=2.8,<2.14" --index-url https://download.pytorch.org/whl/cpu \
    && pip install --no-cache-dir -r requirements.txt \
    && useradd --system --uid 10001 --home-dir /tmp --shell /usr/sbin/nologin demo
COPY app.py LICENSE ./
COPY carmask carmask
COPY examples examples
COPY models models

USER 10001
ENV GRADIO_SERVER_NAME=0.0.0.0 GRADIO_SERVER_PORT=7860 HOME=/tmp PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
EXPOSE 7860
HEALTHCHECK --interval=30s --timeout=10s --start-period=120s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:7860', timeout=9)"]
CMD ["python", "app.py"]
