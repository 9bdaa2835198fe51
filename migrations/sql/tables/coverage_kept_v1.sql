-- count_coverage_v1 makes its view. The one there is keeps its grants under another name meanwhile.
ALTER VIEW spocdb.coverage RENAME TO coverage_kept;
