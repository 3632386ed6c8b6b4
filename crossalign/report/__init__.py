"""A run as a folder of static pages that opens without a server: `writing.write_report`.

`material` reads what is shown, `sections` says what stands in the report (`translations`: in that of a translation run),
`blocks` what it is made of, `page` writes it as HTML. Text from data is escaped in `page` and nowhere else; figures escape
their own.
"""
