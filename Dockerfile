# The image of the server: one static binary on an empty base, as user 65532, for a read-only root.
# docs/containers.md says how to use it.
#
#   docker build -t watchword .          compiles the binary (untested: no base image could be fetched)
#   make image                           packs bin/watchword with buildah, and tests the image
#
# The target prebuilt comes first, so that it needs no base image.

FROM scratch AS base
# /data belongs to the user alone. A new volume there gets the same owner and mode. The copy of a
# directory within a directory is the form in which buildah applies the mode.
COPY --chown=65532:65532 --chmod=0700 deploy/image/root /
COPY LICENSE /LICENSE
VOLUME ["/data"]
WORKDIR /data
# A container has its own loopback, so the listener has to be on all addresses.
# SQLite writes large sorts to temporary files, and the root is read-only.
ENV WATCHWORD_LISTEN=:8080 WATCHWORD_DATA_DIR=/data SQLITE_TMPDIR=/data
USER 65532:65532
EXPOSE 8080
# The start period covers migrations of a large database.
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 CMD ["/watchword", "health"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["/watchword"]
CMD ["serve"]

FROM base AS prebuilt
# Roots for TLS to mail servers and databases. The build passes the bundle of its own machine.
COPY build/image/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY build/image/watchword /watchword

FROM --platform=$BUILDPLATFORM golang:1.26 AS build
ARG TARGETOS=linux
ARG TARGETARCH=amd64
ARG COMMIT=""
ARG DATE=""
WORKDIR /source
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH go build -trimpath \
    -ldflags "-s -w -X main.commit=$COMMIT -X main.date=$DATE" -o /watchword ./cmd/watchword

FROM base
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /watchword /watchword
