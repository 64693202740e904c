# Stands in for Jaeger where no registry can be reached, with the wget of its health check.
ARG TARGET_IMAGE
FROM ${TARGET_IMAGE}
USER 0:0
RUN apt-get update -qq \
 && apt-get install -y -qq --no-install-recommends wget \
 && rm -rf /var/lib/apt/lists/*
COPY traces.py /traces.py
USER 65534:65534
CMD ["python", "/traces.py"]
