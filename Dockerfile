# Two stages from one base: build with everything, run with what is needed. Point BASE elsewhere for another registry or a digest.
ARG BASE=node:26-slim

FROM ${BASE} AS build
WORKDIR /build
COPY package.json package-lock.json .npmrc ./
RUN npm ci
COPY tsconfig.json ./
COPY src ./src
RUN npm run build && npm prune --omit=dev

FROM ${BASE}
LABEL org.opencontainers.image.title="countersign" \
      org.opencontainers.image.licenses="Apache-2.0"
WORKDIR /app
COPY --from=build /build/node_modules ./node_modules
COPY --from=build /build/dist ./dist
COPY package.json LICENSE ./
COPY rego ./rego
COPY examples ./examples
# State, ledger and the keys made at first start; everything else may be read-only (give it a tmpfs on /tmp for the demonstration).
RUN mkdir -p /var/lib/countersign && chown 65532:65532 /var/lib/countersign && chmod 0700 /var/lib/countersign
VOLUME ["/var/lib/countersign"]
ENV NODE_ENV=production
USER 65532:65532
# agents, admin and health; only health is meant to be reached from outside the pod
EXPOSE 7420 7421 7423
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 \
  CMD ["node", "-e", "fetch('http://127.0.0.1:7423/livez').then((answer) => process.exit(answer.ok ? 0 : 1), () => process.exit(1))"]
ENTRYPOINT ["node", "/app/dist/main.js"]
CMD ["start", "--config", "/etc/countersign/countersign.yaml"]
