"""What an evaluation of a model is, in the same words for whoever makes one and whoever checks it.

In reading order: `suite`, what is asked, and `questions`, as which jobs; `outputs`, what was answered, and `pairs`, of
two texts; `metrics`, the numbers that follow, by `intervals`, `bootstrap` and `overlap`, and `figures`, how they are
stated; `report`, all of it as one file, `report_checks`, whether that file is true, and `report_file`, on disk;
`table`, how it is told. Spec chapter 8 is the source of the rules.
"""
