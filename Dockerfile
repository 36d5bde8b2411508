# The operator's image: pinned dependencies, no compiler, no pip, no shell needed, no root.
#   docker build -t REGISTRY/kaito:TAG .
FROM python:3.13-slim AS build
WORKDIR /src
RUN python -m venv --without-pip /opt/kaito
COPY requirements.lock ./
RUN python -m pip --python /opt/kaito/bin/python install --no-cache-dir --require-hashes -r requirements.lock
COPY pyproject.toml README.md LICENSE NOTICE ./
COPY src src
RUN python -m pip --python /opt/kaito/bin/python install --no-cache-dir --no-deps --no-build-isolation . \
 && python -m pip --python /opt/kaito/bin/python uninstall --yes hatchling editables \
 && /opt/kaito/bin/python -m compileall -q /opt/kaito/lib

FROM python:3.13-slim
COPY --from=build /opt/kaito /opt/kaito
ENV PATH=/opt/kaito/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
# The number, so that runAsNonRoot can be checked without reading /etc/passwd.
USER 65532:65532
# 8080: metrics, 8081: probes
EXPOSE 8080 8081
ENTRYPOINT ["kaito"]
CMD ["run"]
