# docker build -t cnntention . && docker run --rm -v "$PWD/results:/study/results" cnntention
FROM python:3.11-slim
RUN apt-get update && apt-get install -y --no-install-recommends git make && rm -rf /var/lib/apt/lists/*
WORKDIR /study
COPY requirements.lock .
RUN pip install --no-cache-dir --require-hashes -r requirements.lock
COPY . .
RUN pip install --no-cache-dir --no-deps .
CMD ["snakemake", "--cores", "all", "--configfile", "workflow/studies/demo.yaml"]
