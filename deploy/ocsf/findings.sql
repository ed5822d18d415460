-- Makes the Parquet of a day for Amazon Security Lake from findings as JSON lines, in DuckDB. What has keys of its own for every
-- rule (unmapped, data of evidence) becomes JSON text, so that the columns are the same in all files.
COPY (
  SELECT * REPLACE (
    to_json(unmapped)::VARCHAR AS unmapped,
    list_transform(evidences, lambda e: struct_update(e, data := to_json(e.data)::VARCHAR)) AS evidences
  )
  FROM read_json('findings.jsonl', format = 'newline_delimited', sample_size = -1)
  ORDER BY time
) TO 'findings.parquet' (FORMAT parquet, COMPRESSION zstd);
