# docker build -t miniature-memory .
# docker run -it -v memory:/memory miniature-memory --topic "bread baking"
FROM python:3.13-slim

RUN useradd --create-home memory && install -d -o memory /memory /home/memory/miniature-memory
COPY --chown=memory . /home/memory/miniature-memory
USER memory
WORKDIR /home/memory/miniature-memory
# The data of all topics, and nothing else, is kept in the volume.
RUN ./setup.sh && ln -s /memory topics
VOLUME /memory
# The count of paid queries outlives a container, too.
ENV XDG_STATE_HOME=/memory/.state
ENTRYPOINT ["python3", "run.py"]
CMD ["--help"]
