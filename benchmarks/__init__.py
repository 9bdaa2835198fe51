"""spocdb beside its peers: ratios within one run, since machines and their moods differ."""
