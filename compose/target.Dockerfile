# gatecrash whole: the command, the reference booking system and the swarm, from the locked packages. PYTHON_IMAGE needs CPython >= 3.11 with venv.
ARG PYTHON_IMAGE=python:3.11-slim-bookworm
FROM ${PYTHON_IMAGE}
WORKDIR /gatecrash
COPY requirements.lock ./
RUN python3 -m venv /venv && /venv/bin/pip install --no-cache-dir --quiet --require-hashes -r requirements.lock
COPY harness harness
COPY scenarios scenarios
COPY chaos chaos
COPY reports reports
COPY target target
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
RUN mkdir -m 1777 /data && printf '#!/bin/sh\nPYTHONPATH=/gatecrash exec python -m harness "$@"\n' >/venv/bin/gatecrash && chmod 755 /venv/bin/gatecrash
USER 65534:65534
