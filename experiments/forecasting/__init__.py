"""The comparison of forecasters: walk-forward, tables, report page, and the growth that forecasts
bring.
"""
