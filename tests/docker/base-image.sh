#!/usr/bin/env bash
# Makes the evaluator image on a machine that has Debian's package archive but no container registry.
#
#   tests/docker/base-image.sh                 the image prism-evaluator:local
#   tests/docker/base-image.sh --check         only says whether it is there; exit 1 if not
#
# Needs root, docker.io and debootstrap. The base system is cached under .prism/images. With
# PRISM_IMAGE_CACHE=<folder> the finished image is kept there too (1.4 GB). Nothing of this machine
# enters the repository: its package sources go into the local base image only.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cache=${PRISM_IMAGE_CACHE:-$root/.prism/images}
base=${PRISM_BASE_IMAGE:-debian:bookworm-slim}
image=${PRISM_EVALUATOR_IMAGE:-prism-evaluator:local}
suite=bookworm

say() { printf 'base-image: %s\n' "$*" >&2; }

start_engine() {
    docker info >/dev/null 2>&1 && return
    command -v dockerd >/dev/null || { say "no container engine: apt-get install docker.io"; exit 1; }
    local log=${TMPDIR:-/tmp}/prism-dockerd.log driver
    for driver in overlay2 vfs; do
        say "starting dockerd with storage driver $driver (log: $log)"
        setsid dockerd --storage-driver "$driver" >"$log" 2>&1 </dev/null &
        local pid=$!
        for _ in $(seq 60); do
            docker info >/dev/null 2>&1 && return
            kill -0 "$pid" 2>/dev/null || break
            sleep 0.5
        done
        kill "$pid" 2>/dev/null && wait "$pid" || true
    done
    say "dockerd does not start; the end of its log:"
    tail -n 20 "$log" >&2
    exit 1
}

have() { docker image inspect "$1" >/dev/null 2>&1; }

# The mirror that this machine uses itself, so that a machine behind a proxy needs no configuration.
mirror() {
    local found
    found=$(cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources 2>/dev/null \
        | sed -nE 's/^(deb|URIs:)( \[[^]]*\])? +(https?:\/\/[^ ]+debian\/?)( .*)?$/\3/p' | head -n 1)
    echo "${found:-http://deb.debian.org/debian}"
}

make_base() {
    have "$base" && return
    local tarball=$cache/base-$suite.tar
    if [[ ! -s $tarball ]]; then
        command -v debootstrap >/dev/null || { say "no debootstrap: apt-get install debootstrap"; exit 1; }
        local work
        work=$(mktemp -d)
        say "debootstrap $suite"
        debootstrap --variant=minbase "$suite" "$work/root" "$(mirror)" >"$work/log" 2>&1 \
            || { tail -n 20 "$work/log" >&2; rm -rf "$work"; exit 1; }
        copy_apt_settings "$work/root"
        rm -rf "$work"/root/var/cache/apt/archives/*.deb "$work"/root/var/lib/apt/lists/*
        mkdir -p "$cache"
        tar -C "$work/root" --one-file-system -cf "$tarball.new" .
        mv "$tarball.new" "$tarball"
        rm -rf "$work"
    fi
    docker import --change 'CMD ["bash"]' "$tarball" "$base" >/dev/null
}

# Sources, keys, proxies and certificates by which this machine reaches its packages.
copy_apt_settings() {
    local to=$1 path
    rm -f "$to/etc/apt/sources.list"
    for path in /etc/apt/sources.list /etc/apt/sources.list.d/debian.sources /etc/apt/apt.conf \
        /etc/apt/apt.conf.d/*proxy* /etc/apt/apt.conf.d/99* /etc/apt/auth.conf; do
        [[ -f $path ]] && install -D -m 0644 "$path" "$to$path"
    done
    [[ -f $to/etc/apt/sources.list || -f $to/etc/apt/sources.list.d/debian.sources ]] \
        || echo "deb $(mirror) $suite main" >"$to/etc/apt/sources.list"
}

build_evaluator() {
    local stamp tarball
    stamp=$(sha256sum "$root/Dockerfile" | cut -c 1-16)
    tarball=$cache/evaluator-$stamp.tar
    if [[ -s $tarball ]]; then
        docker load --quiet --input "$tarball" >/dev/null
        have "$image" && return
    fi
    say "building $image"
    # The classic builder serves where the client lacks the buildx plugin.
    docker buildx version >/dev/null 2>&1 || export DOCKER_BUILDKIT=0
    docker build --network host --build-arg "BASE_IMAGE=$base" \
        --target evaluator --tag "$image" --file "$root/Dockerfile" "$root/tests/docker" >&2
    [[ -n ${PRISM_IMAGE_CACHE:-} ]] || return 0
    mkdir -p "$cache"
    docker save --output "$tarball.new" "$image"
    mv "$tarball.new" "$tarball"
    find "$cache" -name 'evaluator-*.tar' ! -path "$tarball" -delete
}

start_engine
if [[ ${1:-} == --check ]]; then
    have "$image"
    exit
fi
if ! have "$image"; then
    make_base
    build_evaluator
fi
docker run --rm --network none --cap-drop ALL "$image" -c \
    'import torch; print("torch", torch.__version__)' >&2
say "ready: $image $(docker image inspect --format '{{.Id}}' "$image")"
