# Two images: `evaluator`, the sandbox in which the docker backend trains submissions, and `host`,
# the service.
#
#   docker build --target evaluator -t prism-evaluator:local .
#   docker build --target host -t prism .                             compiles the binary inside
#   docker build --target host -t prism --build-arg BINARY=local .    takes target/release/prism
#
# `host` needs BuildKit, which builds only the stages that a target depends on. The base images are
# arguments, so that a machine without a registry can bring its own: tests/docker/base-image.sh.
ARG BASE_IMAGE=debian:bookworm-slim
ARG RUST_IMAGE=rust:1.95-bookworm
ARG BINARY=build

# The harness comes with each job, so any image with Python and PyTorch serves. OpenBLAS makes
# Debian's PyTorch 8.6 times faster. The container starts as root with CAP_SETUID, CAP_SETGID and
# CAP_KILL only; the users are those that the scorer and the submission's processes change to.
FROM ${BASE_IMAGE} AS evaluator
RUN apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
        python3 python3-torch python3-numpy libopenblas0 \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt/archives/*.deb \
    && for user in scorer:61001 worker:61002 auditor:61003; do \
        groupadd --gid "${user#*:}" "prism-${user%:*}" \
        && useradd --uid "${user#*:}" --gid "${user#*:}" --no-create-home --home-dir /tmp \
            --shell /usr/sbin/nologin "prism-${user%:*}"; \
    done
ENV OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 LANG=C.UTF-8
ENTRYPOINT ["/usr/bin/python3", "-I", "-B"]

# The binary, compiled here ...
FROM ${RUST_IMAGE} AS binary-build
RUN rustup target add wasm32-unknown-unknown
WORKDIR /src
COPY . .
RUN cargo build --release --locked && cp target/release/prism /prism

# ... or one that was compiled before, on Debian 12 or older.
FROM ${BASE_IMAGE} AS binary-local
COPY target/release/prism /prism

FROM binary-${BINARY} AS binary

# Settings come from PRISM_... or the CHALLENGE_... environment variables that Platform injects; what is
# to last lies in the volume /data. The user is a number, so that an orchestrator can see it is not
# root. There is no PyTorch in here: submissions run in containers of the engine that DOCKER_HOST
# (or the mounted /var/run/docker.sock) leads to.
FROM ${BASE_IMAGE} AS host
COPY --from=binary /prism /usr/local/bin/prism
RUN install -d -o 10001 -g 10001 -m 0750 /data
ENV PRISM_DATA_DIR=/data PRISM_BIND=0.0.0.0:8080 PRISM_EXECUTION_BACKEND=docker
USER 10001:10001
VOLUME /data
EXPOSE 8080
# Speaks HTTP through bash, so that the image needs neither curl nor another program.
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s --retries=6 \
    CMD ["bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/8080 && printf 'GET /health HTTP/1.0\\r\\nHost: localhost\\r\\n\\r\\n' >&3 && grep -q '\"ok\"' <&3"]
ENTRYPOINT ["/usr/local/bin/prism"]
CMD ["serve"]
