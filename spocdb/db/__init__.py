"""All SQL: schema, collections, embeddings, projections, search. No torch."""
