# eyeline in a container, built by the same scripts as anywhere else:
#   docker build -t eyeline .
#   docker run --rm -v "$PWD:/input:ro" -v eyeline-out:/opt/eyeline/out eyeline process /input/video.mp4

FROM debian:bookworm-slim AS builder
WORKDIR /opt/eyeline
ENV PATH=/root/.cargo/bin:$PATH
# Set-up alone first: its layers then last until the scripts or their pins change.
COPY rust-toolchain.toml ./
COPY scripts ./scripts
RUN scripts/setup.sh
COPY . .
RUN cargo build --release --locked

FROM debian:bookworm-slim
# The program looks for libtorch where it was built against it, so this is the same folder as above.
WORKDIR /opt/eyeline
COPY scripts/lib.sh scripts/packages.sh scripts/packages-runtime.txt scripts/
RUN scripts/packages.sh scripts/packages-runtime.txt \
    && rm -rf scripts /var/lib/apt/lists/* \
    && useradd --uid 1000 --user-group --create-home eyeline \
    && install --directory --owner eyeline --group eyeline out
COPY --from=builder /opt/eyeline/.eyeline/libtorch/lib .eyeline/libtorch/lib
COPY --from=builder /opt/eyeline/.eyeline/libtorch/licenses .eyeline/libtorch/licenses
COPY --from=builder /opt/eyeline/.eyeline/models .eyeline/models
COPY --from=builder /opt/eyeline/.eyeline/video .eyeline/video
COPY --from=builder /opt/eyeline/target/release/eyeline /usr/local/bin/eyeline
COPY LICENSE-APACHE LICENSE-MIT ./
COPY models models
COPY pipelines pipelines
USER eyeline
VOLUME /opt/eyeline/out
ENTRYPOINT ["eyeline"]
CMD ["--help"]
