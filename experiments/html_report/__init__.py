"""The pieces of the HTML report: reading run folders, figures of the comparison, charts, and the
page.
"""
