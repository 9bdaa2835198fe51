"""Near-duplicates: how many changed copies are found, and how many unrelated pictures are grouped.

    photographs -> changed copies -> a method's distances -> threshold -> pairs and groups

The threshold of a method is chosen on one half of the photographs and measured on the other.
"""
