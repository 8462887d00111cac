# syntax=docker/dockerfile:1
# One image for every service: `docker build -t dagctl .`

FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
# The store's queries are checked against crates/dagctl-store/.sqlx: no database is needed here.
ENV SQLX_OFFLINE=true
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked --package dagctl \
    && install target/release/dagctl /usr/local/bin/dagctl

FROM debian:bookworm-slim
# Certificates for HTTPS and for TLS to Postgres; python3 for shell tasks that name it as interpreter.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates python3 \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --gid 1000 dagctl \
    && useradd --uid 1000 --gid 1000 --create-home dagctl \
    && install --directory --owner dagctl --group dagctl \
        /dagctl /dagctl/dags /dagctl/data /dagctl/home /dagctl/runs
COPY --from=build /usr/local/bin/dagctl /usr/local/bin/dagctl
ENV DAGCTL_HOME=/dagctl/home \
    DAGCTL_DAGS_FOLDER=/dagctl/dags \
    DAGCTL_RUN_DIR=/dagctl/runs
USER dagctl
WORKDIR /dagctl
EXPOSE 8080
STOPSIGNAL SIGTERM
ENTRYPOINT ["dagctl"]
CMD ["--help"]
