"""What an evaluation of a model is, pure and in the same words for whoever makes one and whoever checks it.

In reading order: `suite`, what is asked, and `questions`, as which jobs; `outputs`, what was answered; `metrics`, the
numbers that follow, by `intervals`, `bootstrap` and `overlap`; `report`, all of it as one file, and `report_checks`,
whether that file is true. Spec chapter 8 is the source of the rules.
"""
