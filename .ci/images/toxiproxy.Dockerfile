# The real Toxiproxy, built from source by `go install`.
FROM scratch
COPY server /toxiproxy
COPY cli /toxiproxy-cli
ENTRYPOINT ["/toxiproxy"]
CMD ["-host=0.0.0.0"]
