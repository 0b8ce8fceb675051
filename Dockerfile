# The program from this repository:
#
#     docker build -t demotic .
#     docker run --rm --init --user "$(id -u):$(id -g)" -v "$PWD:/work" demotic \
#         translate --to twemoji --out out doodle.png
#     docker run --rm --init -p 127.0.0.1:7500:7500 demotic serve --listen 0.0.0.0:7500
#
# The page's address is printed with a token. --init: Ctrl-C ends any command; --user: what is written is yours;
# -t as well for a training, which then shows its progress. Graphics cards: --device /dev/dri, or the maker's
# runtime.
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
# Whose the pictures, phrases, letters and networks in the program are, as in the archive of .ci/release.
COPY --from=build /demotic/LICENSE-MIT /demotic/LICENSE-APACHE /usr/share/doc/demotic/
COPY --from=build /demotic/crates/demotic-core/assets/emoji/NOTICE /usr/share/doc/demotic/emoji-NOTICE
COPY --from=build /demotic/crates/demotic-core/assets/emoji/licences /usr/share/doc/demotic/emoji
COPY --from=build /demotic/crates/demotic-core/assets/phrases/NOTICE /usr/share/doc/demotic/phrases-NOTICE
COPY --from=build /demotic/crates/demotic-core/assets/phrases/licences /usr/share/doc/demotic/phrases
COPY --from=build /demotic/crates/demotic-core/assets/efficientnet-lite0/NOTICE /usr/share/doc/demotic/efficientnet-lite0-NOTICE
COPY --from=build /demotic/crates/demotic-core/assets/fonts/OFL.txt /usr/share/doc/demotic/fonts-OFL.txt
COPY --from=build /demotic/crates/demotic-core/assets/weights/README.md /usr/share/doc/demotic/weights-README.md
WORKDIR /work
ENTRYPOINT ["demotic"]
CMD ["--help"]
