# Two stages from one base: build with everything, run with what is needed. Point BASE elsewhere for another registry or a digest.
ARG BASE=node:26-slim
# A young generation of at most 4 MiB a space: about a fifth less memory at rest (docs/operate.md has figures and when to change it).
ARG NODE_OPTIONS="--max-semi-space-size=4 --disable-warning=ExperimentalWarning"

FROM ${BASE} AS build
# the same folder as in the image: what is compiled is known by the place of its source
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci
COPY src ./src
COPY rego ./rego
COPY examples ./examples
COPY scripts/bundle.ts scripts/compiled.ts ./scripts/
ARG NODE_OPTIONS
RUN node scripts/bundle.ts && node scripts/compiled.ts 65532 && npm prune --omit=dev

FROM ${BASE}
ARG NODE_OPTIONS
LABEL org.opencontainers.image.title="countersign" \
      org.opencontainers.image.licenses="Apache-2.0"
WORKDIR /app
COPY --from=build /app/node_modules ./node_modules
COPY --from=build /app/dist ./dist
# read by the user below and written by nobody: root owns it
COPY --from=build /app/compiled ./compiled
COPY package.json LICENSE ./
COPY rego ./rego
COPY examples ./examples
# State, ledger and the keys made at first start; everything else may be read-only (give it a tmpfs on /tmp for the demonstration).
RUN mkdir -p /var/lib/countersign && chown 65532:65532 /var/lib/countersign && chmod 0700 /var/lib/countersign
VOLUME ["/var/lib/countersign"]
# more arenas of malloc than two only keep memory that nobody uses
ENV NODE_ENV=production NODE_OPTIONS=${NODE_OPTIONS} MALLOC_ARENA_MAX=2
USER 65532:65532
# agents, admin and health; only health is meant to be reached from outside the pod
EXPOSE 7420 7421 7423
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 \
  CMD ["node", "-e", "fetch('http://127.0.0.1:7423/livez').then((answer) => process.exit(answer.ok ? 0 : 1), () => process.exit(1))"]
ENTRYPOINT ["node", "/app/dist/main.js"]
CMD ["start", "--config", "/etc/countersign/countersign.yaml"]
