# Every service from one file: `--target engine` is the image of one (`make images`: all). Static programs on an image without
# shell, as a user who is not root.
FROM rust:1.92.0-alpine3.22 AS chef
RUN apk add --no-cache musl-dev && cargo install --locked --version 0.1.78 cargo-chef
LABEL regreen.part=build
WORKDIR /src

FROM chef AS recipe
COPY . .
RUN cargo chef prepare --recipe-path recipe.json

FROM chef AS build
COPY --from=recipe /src/recipe.json recipe.json
# Dependencies alone: made anew only when they change.
RUN cargo chef cook --release --locked --recipe-path recipe.json
COPY . .
RUN cargo build --release --locked \
      -p regreen-cli -p regreen-ingest -p regreen-probe -p regreen-engine -p regreen-runner -p regreen-notifier -p regreen-simcloud
# Folders where volumes are mounted: a new volume takes its owner from here.
RUN while read -r folder; do mkdir -p "/folders/$folder"; done <deploy/compose/folders

FROM gcr.io/distroless/static-debian12:nonroot AS base
COPY --from=build --chown=65532:65532 /folders/ /
USER 65532:65532
LABEL org.opencontainers.image.title="Regreen" \
      org.opencontainers.image.description="Turns an alert into a verified repair, safely, and proves what it did" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.licenses="Apache-2.0"

FROM base AS cli
COPY --from=build /src/target/release/regreen /usr/local/bin/
ENTRYPOINT ["regreen"]

FROM base AS ingest
COPY --from=build /src/target/release/regreen-ingest /usr/local/bin/
ENTRYPOINT ["regreen-ingest"]

FROM base AS probe
COPY --from=build /src/target/release/regreen-probe /usr/local/bin/
ENTRYPOINT ["regreen-probe"]

FROM base AS engine
COPY --from=build /src/target/release/regreen-engine /usr/local/bin/
ENTRYPOINT ["regreen-engine"]

FROM base AS runner
COPY --from=build /src/target/release/regreen-runner /usr/local/bin/
ENTRYPOINT ["regreen-runner"]

FROM base AS notifier
COPY --from=build /src/target/release/regreen-notifier /usr/local/bin/
ENTRYPOINT ["regreen-notifier"]

FROM base AS simcloud
COPY --from=build /src/target/release/regreen-simcloud /usr/local/bin/
ENTRYPOINT ["regreen-simcloud"]
