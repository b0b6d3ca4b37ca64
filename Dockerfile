# docker build -t telewire . && docker run -p 8080:8080 -v telewire:/data telewire
# The image has one static binary and the root certificates, and nothing else.

# Any image with Rust 1.95 or newer, a C compiler and Debian's ca-certificates.
ARG RUST=docker.io/library/rust:1.95-slim-bookworm@sha256:d7482085ff5b415f84dba5647ae71606650bdef00db7aeb69f4b3d170c3e4082
FROM ${RUST} AS build
WORKDIR /src
# Dependencies have a layer of their own, which stays while they do. Benchmarks and tests are named by the manifest,
# so something must be there in their names.
COPY Cargo.toml Cargo.lock ./
RUN set -eu; \
    mkdir -p src tests/it tests/bench; \
    echo 'fn main() {}' > src/main.rs; \
    touch src/lib.rs tests/it/main.rs; \
    for bench in page_to_feed serving memory media secrets archive; do echo 'fn main() {}' > tests/bench/$bench.rs; done
# Static, so that it needs no system around it, and random numbers come from the kernel, without a file in /dev. The
# target is named so that only the program itself is built so.
ENV RUSTFLAGS="-C target-feature=+crt-static --cfg getrandom_backend=\"linux_getrandom\""
RUN cargo build --release --locked --bin telewire --target "$(rustc -vV | sed -n 's/^host: //p')"
COPY src src
# What was just made must be older than what has been copied.
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
      org.opencontainers.image.description="Public Telegram channels as RSS, Atom and JSON Feed, every post whole" \
      org.opencontainers.image.licenses="MIT"
COPY --from=build /image/ /
USER 65532:65532
VOLUME /data
EXPOSE 8080
# glibc keeps memory apart for each thread, which this service has many of: two such places take 20 MB less.
ENV TELEWIRE_LISTEN=0.0.0.0:8080 TELEWIRE_DATA_DIR=/data MALLOC_ARENA_MAX=2
HEALTHCHECK --interval=30s --timeout=5s --start-period=5s CMD ["/telewire", "healthcheck"]
ENTRYPOINT ["/telewire"]
