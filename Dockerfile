# syntax=docker/dockerfile:1
FROM node:24-trixie-slim AS build
WORKDIR /src
COPY package.json package-lock.json .npmrc ./
RUN npm ci
COPY tsconfig.json ./
COPY scripts scripts
COPY src src
RUN npm run build

FROM gcr.io/distroless/nodejs24-debian13:nonroot
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Roster" \
      org.opencontainers.image.description="Keeps external service registries in step with a Kubernetes cluster" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
ENV NODE_ENV=production
COPY --from=build /src/dist/roster.mjs /app/roster.mjs
# The number of `nonroot`, as deploy/ names it: a Pod that must not run as root cannot be checked by name.
USER 65532:65532
EXPOSE 8080
# By default the nursery of the heap grows with the first sync and is kept: 40 MiB more at 5,000 instances, for nothing.
ENTRYPOINT ["/nodejs/bin/node", "--max-semi-space-size=8", "/app/roster.mjs"]
CMD ["run"]
