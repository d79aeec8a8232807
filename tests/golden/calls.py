"""What each kind of published case calls: a function maps the inputs of one kind onto one or two
public functions and returns what they give under the names of the published numbers. Those that
depend on the venue take it too.
"""

import datetime as dt

from fundenv.formulas import borrowing, contract, fees, funding, liquidation, margin

SIDE = {"long": 1, "short": -1}
SAT = 1e8


def annualisation(x):
    return {"annual_simple": funding.annual_simple(x["funding_rate_8h"], 8)}


def bankruptcy(x):
    return {
        "bankruptcy": contract.inverse_bankruptcy_price(SIDE[x["side"]], x["entry"], x["leverage"])
    }


def borrow_interest(x, venue):
    if "borrow" in x:
        borrowed, repaid = (dt.datetime.strptime(x[key], "%H:%M") for key in ("borrow", "repay"))
        return {
            "interest": borrowing.binance_interest(
                x["borrowed_usdt"], x["daily_rate"], borrowed, repaid
            )
        }
    rule = (
        borrowing.kraken_interest if venue == "kraken_margin" else borrowing.started_hours_interest
    )
    return {"interest": rule(x["borrowed"], x["rate"], x["hours"])}


def borrow_power(x):
    return {"borrowable_usdc": margin.borrow_power(x["balance"], x["price"], x["ltv"])}


def collateral_haircut(x):
    return {"collateral_btc": margin.collateral_value(x["btc_total"], x["rate"])}


def collateral_haircut_tiered(x):
    return {
        "collateral_value": margin.tiered_collateral_value(x["btc"] * x["price"], x["tiers_usdt"])
    }


def fee(x):
    return {
        f"{kind}_round_trip": fees.round_trip_fee(x["notional"], x[kind])
        for kind in ("taker", "maker")
    }


def funding_cap(x):
    if "factor" in x:
        return {"cap_abs": funding.binance_cap(x["mmr_at_max_leverage"], x["factor"])}
    cap = funding.bitmex_cap(x["initial_margin"], x["maintenance_margin"])
    return {"cap_8h": cap, "max_per_day_8h": 3 * cap, "max_per_day_2h": 12 * cap}


def funding_index(x):
    return {
        "index_delta": funding.dydx_index_change(
            x["oracle_price"],
            x["price_exponent"],
            x["atomic_resolution"],
            x["rate_8h_ppm"],
            x["seconds"],
        )
    }


def funding_payment(x):
    side = SIDE[x["side"]]
    if "size" in x:
        return {"short_cash_flow": funding.payment(side * x["size"], x["mark"], x["rate"])}
    face = x.get("face_usd", 1)
    value = contract.inverse_notional(x["contracts"], x["mark"], face)
    flow = funding.inverse_payment(side * x["contracts"], x["mark"], x["rate"], face)
    return (
        {"value_xbt": value, "long_cash_flow_xbt": flow}
        if face == 1
        else {"value_eth": value, "short_cash_flow_eth": flow}
    )


def funding_payment_window(x):
    settled = x["settlements_utc"]
    prices, rates = ([entry[key] for entry in settled.values()] for key in ("mark", "rate"))
    size = SIDE[x["side"]] * x["size"]
    flow = funding.window_payment(
        size, x["open_utc"], x["close_utc"], list(settled), prices, rates, x["open_cutoff_seconds"]
    )
    return {"short_cash_flow": flow}


def funding_rate(x, venue):
    if venue == "hyperliquid":
        return {"hourly_rate": funding.hyperliquid_rate(x["premium"], x["interest_8h"])}
    return {
        "funding_rate": funding.binance_rate(
            x["avg_premium"], x["interest"], x["clamp"], x["interval_hours"]
        )
    }


def funding_settlement_sign(x):
    return {
        "net_settlement_ppm": funding.dydx_settlement(
            x["index_before"], x["index_after"], x["quantums"]
        )
    }


def impact_notional(x):
    if "imf" in x:
        return {"impact_notional": funding.impact_notional(x["base_usdc"], x["imf"])}
    return {
        "impact_margin_notional": funding.impact_notional(x["base_usdt"], x["initial_margin_rate"])
    }


def initial_margin_inverse(x):
    value = contract.inverse_notional(x["contracts"], x["price"])
    return {
        "im_btc": contract.margin_at_rate(value, x["im"]),
        "mm_btc": contract.margin_at_rate(value, x["mm"]),
    }


def interest_component(x):
    return {
        "interest": funding.bitmex_interest(
            x["quote_rate_daily"], x["base_rate_daily"], x["intervals_per_day"]
        )
    }


def liquidation_cross(x, venue):
    if venue == "bybit_inverse_2020":
        size = SIDE[x["side"]] * x["contracts"]
        exact = liquidation.bybit_inverse_cross_price(
            x["balance_btc"], size, x["entry"], x["mm"], x["taker"]
        )
        return {
            "liq_price": liquidation.tick_rounded(SIDE[x["side"]], exact, 0.5),
            "bankruptcy": contract.inverse_wallet_bankruptcy_price(
                x["balance_btc"], size, x["entry"], fee_rate=x["taker"]
            ),
        }
    if venue == "bitmex_linear":
        size = SIDE[x["side"]] * x["size_eth"]
        initial = contract.margin_at_rate(contract.notional(size, x["entry"]), x["im"])
        return {
            "initial_margin": initial,
            "maintenance_margin": margin.maintenance_margin(x["position_value"], x["mm"]),
            "available": x["wallet"] - initial,
            "liq_price": liquidation.entry_margin_price(x["wallet"], size, x["entry"], x["mm"]),
            "bankruptcy": contract.wallet_bankruptcy_price(x["wallet"], size, x["entry"]),
        }
    others = x.get("others", [])
    needed = x.get("other_maintenance", 0.0) + sum(
        margin.maintenance_margin(
            contract.notional(o["size"], o["mark"]), o["mmr"], o["maint_amount"]
        )
        for o in others
    )
    profit = x.get("other_upnl", 0.0) + sum(
        contract.unrealised(o["size"], o["entry"], o["mark"]) for o in others
    )
    size = SIDE[x["side"]] * x["size"]
    return {
        "liq_price": liquidation.binance_price(
            x["wallet"], size, x["entry"], x["mmr"], x["maint_amount"], needed, profit
        )
    }


def liquidation_isolated(x, venue):
    side = SIDE[x["side"]]
    if venue == "bybit_usdt":
        extra = x.get("extra_margin", 0.0) - x.get("funding_paid_from_margin", 0.0)
        price = liquidation.bybit_price(
            side,
            x["entry"],
            x["leverage"],
            x["mmr"],
            x.get("size", 1.0),
            x.get("deduction", 0.0),
            extra,
        )
        return {"liq_price": price}
    if venue in ("gate", "okx/gate"):
        return {
            "liq_price": liquidation.okx_price(
                side, x["entry"], x["margin"], x["size"], x["mmr"], x["taker_fee"]
            )
        }
    if venue == "dydx_v4":
        price = liquidation.dydx_price(x["equity"], x["size"], x["price"], x["mmf"])
        return {"liq_price": price, "equity_at_liq": x["equity"] + x["size"] * (price - x["price"])}
    price = liquidation.binance_price(
        x["wallet"], side * x["size"], x["entry"], x["mmr"], x["maint_amount"]
    )
    if "buffer" in x:
        return {
            "liq_price": price,
            "buffered": liquidation.buffered_price(price, x["entry"], x["buffer"]),
        }
    return {"liq_price": price}


def maintenance_amount(x):
    return {"cum": margin.maintenance_amount(x["floor"], x["mmr_n"], x["mmr_prev"], x["cum_prev"])}


def maintenance_margin(x):
    value = contract.inverse_notional(x["contracts"], x["mark"], x["multiplier_usd"])
    return {"notional_btc": value, "mm_btc": margin.maintenance_margin(value, x["mmr"], x["cum"])}


def margin_ratio(x):
    held = contract.initial_margin(contract.notional(x["size_btc"], x["entry"]), x["leverage"])
    profit = contract.unrealised(x["size_btc"], x["entry"], x["mark"])
    ratio = margin.margin_ratio(held, profit, contract.notional(x["size_btc"], x["mark"]))
    # the page prints 0.11 %
    return {"initial_margin": held, "upl": profit, "margin_ratio": round(ratio, 4)}


def mark_price(x):
    price = funding.fair_price(
        x["index"], x["funding_rate"], x["seconds_until_funding"], x["interval_seconds"]
    )
    return {"fair_basis": price - x["index"], "fair_price": price}


def partial_liquidation_size(x):
    return {"swaps_closed": liquidation.partial_quantity(x["swaps_held"], x["max_swaps_tier1"])}


def pnl_with_funding(x):
    profit = contract.inverse_unrealised(SIDE[x["side"]] * x["contracts"], x["entry"], x["exit"])
    return {"pnl_xbt": profit, "net_xbt": profit - x["funding_paid_xbt"]}


def position_value_inverse(x):
    entered = contract.inverse_notional(x["contracts"], x["entry"])
    return {
        "entry_value_sat": SAT * entered,
        "mark_value_sat": SAT * contract.inverse_notional(x["contracts"], x["mark"]),
        "upnl_sat": SAT * contract.inverse_unrealised(x["contracts"], x["entry"], x["mark"]),
        "fee_sat": SAT * fees.fee(entered, x["taker"]),
        "init_margin_sat": SAT * contract.initial_margin(entered, x["leverage"]),
    }


def premium_index(x):
    return {"premium": funding.premium_index(x["impact_bid"], x["impact_ask"], x["oracle"])}


def profit_inverse(x):
    profit = contract.inverse_unrealised(
        SIDE[x["side"]] * x["contracts"], x["entry"], x.get("mark", x.get("exit"))
    )
    return {"upnl_xbt" if "mark" in x else "rpnl_xbt": profit}


def realised_pnl_linear(x):
    return {
        "rpnl": contract.unrealised(
            SIDE[x["side"]] * x["contracts"] * x["face_btc"], x["entry"], x["exit"]
        )
    }


def risk_limit_step(x):
    initial, maintenance = margin.risk_limit_margins(x["base_im"], x["base_mm"], x["value_xbt"])
    return {
        "mm": maintenance,
        "im": initial,
        "mm_xbt": contract.margin_at_rate(x["value_xbt"], maintenance),
    }


def unit_conversion(x):
    relative = funding.kraken_relative_rate(x["absolute_rate"], x["index"])
    # how the wrong number came about
    return {"relative_hourly": relative, "ccxt_bug_value": 8 * relative * x["index"] / x["mark"]}
