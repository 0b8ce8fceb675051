# The program from this repository:
#
#     docker build -t demotic .
#     docker run --rm -v "$PWD:/work" demotic translate --to twemoji --out out doodle.png
#     docker run --rm -p 7500:7500 demotic serve --listen 0.0.0.0:7500
#
# The page's address is printed with a token. Graphics cards: --device /dev/dri, or the maker's runtime.
FROM rust:1.95-slim-bookworm AS build
WORKDIR /demotic
COPY . .
# The toolchain of the image, whatever patch release the file names.
RUN rm -f rust-toolchain.toml && cargo build --profile dist --locked

FROM debian:bookworm-slim
# The Vulkan loader and Mesa's drivers; without a card, processor cores compute.
RUN apt-get update \
    && apt-get install -y --no-install-recommends libvulkan1 mesa-vulkan-drivers \
    && rm -rf /var/lib/apt/lists/*
COPY --from=build /demotic/target/dist/demotic /usr/local/bin/demotic
COPY --from=build /demotic/LICENSE-MIT /demotic/LICENSE-APACHE /usr/share/doc/demotic/
COPY --from=build /demotic/crates/demotic-core/assets/emoji/NOTICE /usr/share/doc/demotic/emoji-NOTICE
COPY --from=build /demotic/crates/demotic-core/assets/phrases/NOTICE /usr/share/doc/demotic/phrases-NOTICE
COPY --from=build /demotic/crates/demotic-core/assets/efficientnet-lite0/NOTICE /usr/share/doc/demotic/network-NOTICE
COPY --from=build /demotic/crates/demotic-core/assets/fonts/OFL.txt /usr/share/doc/demotic/fonts-OFL.txt
WORKDIR /work
ENTRYPOINT ["demotic"]
CMD ["--help"]
