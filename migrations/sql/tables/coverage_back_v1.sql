DROP VIEW spocdb.coverage;
ALTER VIEW spocdb.coverage_kept RENAME TO coverage;
COMMENT ON VIEW spocdb.coverage IS
    'How far each collection is by each of its projections: rows that belong to it, embedded ones, waiting, with a worker, given up';
