# One image for the worker and the API; docker-compose.yml says which of them a container is.
FROM python:3.11-slim AS build
COPY deploy/requirements.txt /tmp/requirements.txt
RUN python -m venv /opt/tertulia && /opt/tertulia/bin/pip install --no-cache-dir --no-deps --require-hashes -r /tmp/requirements.txt

FROM python:3.11-slim
RUN useradd --system --create-home tertulia
COPY --from=build /opt/tertulia /opt/tertulia
WORKDIR /app
COPY worker.py ./
COPY activities activities
COPY definitions definitions
COPY starter starter
COPY tertulia tertulia
COPY workflows workflows
USER tertulia
ENV PATH=/opt/tertulia/bin:$PATH PYTHONUNBUFFERED=1 TERTULIA_HOST=0.0.0.0
EXPOSE 8080
ENTRYPOINT ["python", "-m", "starter"]
CMD ["serve"]
