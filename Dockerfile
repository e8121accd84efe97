# syntax=docker/dockerfile:1
# The server in an image of its own: no shell, no package manager, a user without rights.
#
#   docker build --tag signalbox .
#   docker run --read-only --tmpfs /tmp --volume signalbox:/var/lib/signalbox \
#       --env SIGNALBOX_JWT_SECRET --publish 8080:8080 signalbox

FROM rust:1.95-bookworm AS build
# npm fetches the page's pinned packages.
# Whatever patch level Debian has is right; a pinned one would be gone with the next.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends nodejs npm \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
# The caches belong to the builder, so what is wanted is copied out of them.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked \
    && install -D --mode 755 target/release/signalbox /image/usr/bin/signalbox \
    && install -d --mode 700 /image/var/lib/signalbox

# glibc, libgcc and the certificates of public authorities, and nothing else.
FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /image/usr /usr
COPY --from=build --chown=nonroot:nonroot /image/var/lib/signalbox /var/lib/signalbox
ENV SIGNALBOX_LISTEN=0.0.0.0:8080 \
    SIGNALBOX_DATABASE_URL=sqlite:///var/lib/signalbox/signalbox.db
VOLUME /var/lib/signalbox
EXPOSE 8080
# Longer than a start with migrations takes; the program asks itself.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
    CMD ["/usr/bin/signalbox", "health"]
ENTRYPOINT ["/usr/bin/signalbox"]
CMD ["serve"]
