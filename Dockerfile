# docker build -t telewire . && docker run -p 127.0.0.1:8080:8080 -v telewire:/data telewire
# The image contains one static binary and the root certificates.

# The base image needs Rust 1.95 or newer, a C compiler and Debian's ca-certificates.
ARG RUST=docker.io/library/rust:1.95-slim-bookworm@sha256:d7482085ff5b415f84dba5647ae71606650bdef00db7aeb69f4b3d170c3e4082
FROM ${RUST} AS build
WORKDIR /src
# Build the dependencies in their own layer, which is cached until they change. The manifest names tests and benchmarks, so
# create a placeholder for each.
COPY Cargo.toml Cargo.lock ./
COPY .cargo .cargo
RUN set -eu; \
    mkdir -p src; \
    touch src/lib.rs; \
    for file in $(sed -n 's/^path = "\(.*\)"$/\1/p' Cargo.toml); do \
        mkdir -p "$(dirname "$file")"; \
        echo 'fn main() {}' > "$file"; \
    done
# Link statically, because the image has no libc, and read random numbers with a system call, because it has no /dev. Packed
# relocations save 0.8 MB; a binary that is not static would need glibc 2.36 for them. With an explicit target these flags do
# not apply to build scripts.
ENV RUSTFLAGS="-C target-feature=+crt-static -C link-arg=-Wl,-z,pack-relative-relocs --cfg getrandom_backend=\"linux_getrandom\""
RUN cargo build --release --locked --bin telewire --target "$(rustc -vV | sed -n 's/^host: //p')"
COPY src src
# Cargo compares modification times: the sources must be newer than the placeholders.
RUN set -eu; \
    target="$(rustc -vV | sed -n 's/^host: //p')"; \
    touch src/main.rs src/lib.rs; \
    cargo build --release --locked --bin telewire --target "$target"; \
    mkdir -p /image/data /image/etc/ssl/certs; \
    cp "target/$target/release/telewire" /image/telewire; \
    cp /etc/ssl/certs/ca-certificates.crt /image/etc/ssl/certs/; \
    echo 'telewire:x:65532:65532::/data:' > /image/etc/passwd; \
    chown 65532:65532 /image/data

FROM scratch
LABEL org.opencontainers.image.title="telewire" \
      org.opencontainers.image.description="Self-hosted RSS, Atom and JSON feeds for public Telegram channels" \
      org.opencontainers.image.licenses="MIT"
COPY --from=build /image/ /
USER 65532:65532
VOLUME /data
EXPOSE 8080
# glibc allocates memory in one arena per thread by default; two arenas save about 20 MB.
ENV TELEWIRE_LISTEN=0.0.0.0:8080 TELEWIRE_DATA_DIR=/data MALLOC_ARENA_MAX=2
HEALTHCHECK --interval=30s --timeout=5s --start-period=5s CMD ["/telewire", "healthcheck"]
ENTRYPOINT ["/telewire"]
