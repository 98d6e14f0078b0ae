"""Reading uploaded tables, in the isolated child: pure code over files, without Django and without a database.

`ingest:main` is the program. It goes: unpack and recognise (`detect`, `text`), read (`delimited`, `jsonlines`,
`parquet`, `excel`) into batches, settle the types (`types`, `infer`), write Parquet parts with the canonical
digest (`parts`), and describe the result (`profile`, `preview`).
"""
