"""Words for columns and tables: labels in two languages, singular and plural, units in names."""

from __future__ import annotations

import re
from typing import NamedTuple

from astra.types import Language

# --- English ---------------------------------------------------------------------------------

_UNCOUNTABLE = frozenset(
    "aircraft data deer equipment fish furniture information knowledge luggage metadata moose news "
    "offspring rice series sheep software spacecraft species staff weather".split()
)
_IRREGULAR = {
    "person": "people", "child": "children", "man": "men", "woman": "women", "mouse": "mice",
    "goose": "geese", "foot": "feet", "tooth": "teeth", "index": "indices", "vertex": "vertices",
    "matrix": "matrices", "analysis": "analyses", "crisis": "crises", "basis": "bases",
    "axis": "axes", "criterion": "criteria", "phenomenon": "phenomena", "leaf": "leaves",
    "wolf": "wolves", "knife": "knives", "life": "lives", "wife": "wives", "shelf": "shelves",
    "half": "halves", "calf": "calves", "loaf": "loaves", "thief": "thieves", "movie": "movies",
    "cookie": "cookies", "calorie": "calories", "tie": "ties", "pie": "pies", "shoe": "shoes",
    "cache": "caches", "hero": "heroes", "potato": "potatoes", "tomato": "tomatoes",
    "volcano": "volcanoes", "tornado": "tornadoes", "echo": "echoes", "quiz": "quizzes",
    "lens": "lenses", "gas": "gases", "bias": "biases", "canvas": "canvases", "atlas": "atlases",
}  # fmt: skip
_SINGULAR = {plural: singular for singular, plural in _IRREGULAR.items()}


def singular(word: str) -> str:
    """The singular of an English noun in lower case; a singular comes back as it is."""
    if word in _SINGULAR:
        return _SINGULAR[word]
    if word in _UNCOUNTABLE or word in _IRREGULAR or re.search(r"(ss|us|is)$", word):
        return word
    if re.search(r"[^aeiou]ies$", word):
        return word[:-3] + "y"
    if re.search(r"(ss|sh|ch|x|zz|[^aeo]us)es$", word):
        return word[:-2]
    return word[:-1] if word.endswith("s") and len(word) > 2 else word


def plural(word: str) -> str:
    """The plural of an English noun in lower case."""
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    if word in _UNCOUNTABLE or word in _SINGULAR:
        return word
    if re.search(r"[^aeiou]y$", word):
        return word[:-1] + "ies"
    return word + ("es" if re.search(r"(s|sh|ch|x|z)$", word) else "s")


_ACRONYMS = frozenset(
    "id url gdp gnp iso iata icao hdi usa uk eu un ip isbn issn imdb nba nfl uefa fifa dna rna "
    "utc gmt api cpu gpu ram ppp bmi ceo cfo cto vat".split()
)
_EXPANDED = {
    "iso2": "two-letter ISO code",
    "iso3": "three-letter ISO code",
    "iso_a2": "two-letter ISO code",
    "iso_a3": "three-letter ISO code",
    "iata": "IATA code",
    "icao": "ICAO code",
    "lat": "latitude",
    "lon": "longitude",
    "lng": "longitude",
    "dob": "date of birth",
    "pop": "population",
    "temp": "temperature",
    "avg": "average",
    "num": "number",
    "qty": "quantity",
    "desc": "description",
    "min": "minimum",
    "max": "maximum",
}


def humanised(name: str) -> str:
    """An identifier as English words: `gdp_per_capita` -> "GDP per capita"."""
    if name in _EXPANDED:
        return _EXPANDED[name]
    words = [
        word.upper() if word in _ACRONYMS else _EXPANDED.get(word, word) for word in name.split("_")
    ]
    return " ".join(words)


# --- Chinese ---------------------------------------------------------------------------------

_CHINESE: dict[str, str] = {
    line.split()[0]: line.split()[1]
    for line in """
    name 名称
    full_name 全名
    first_name 名字
    last_name 姓氏
    title 标题
    label 标签
    id 编号
    code 代码
    number 号码
    type 类型
    kind 种类
    category 类别
    class 级别
    group 组别
    status 状态
    description 描述
    country 国家
    continent 大洲
    region 地区
    subregion 次区域
    province 省份
    state 州
    county 县
    district 区
    city 城市
    town 城镇
    village 村庄
    capital 首都
    address 地址
    location 位置
    place 地点
    river 河流
    lake 湖泊
    sea 海洋
    ocean 大洋
    mountain 山峰
    volcano 火山
    island 岛屿
    desert 沙漠
    airport 机场
    port 港口
    station 车站
    bridge 桥梁
    building 建筑
    tower 塔
    museum 博物馆
    university 大学
    school 学校
    hospital 医院
    hotel 酒店
    restaurant 餐厅
    park 公园
    company 公司
    organization 组织
    airline 航空公司
    bank 银行
    brand 品牌
    manufacturer 制造商
    supplier 供应商
    customer 客户
    client 客户
    employee 员工
    manager 经理
    department 部门
    team 球队
    player 球员
    person 人物
    people 人物
    user 用户
    student 学生
    teacher 教师
    author 作者
    writer 作家
    artist 艺术家
    actor 演员
    director 导演
    president 总统
    founder 创始人
    owner 所有者
    book 书籍
    film 电影
    movie 电影
    song 歌曲
    album 专辑
    game 游戏
    genre 体裁
    publisher 出版社
    product 产品
    item 物品
    order 订单
    invoice 发票
    sale 销售
    project 项目
    task 任务
    event 事件
    course 课程
    element 元素
    planet 行星
    moon 卫星
    star 恒星
    animal 动物
    plant 植物
    species 物种
    population 人口
    area 面积
    density 密度
    population_density 人口密度
    length 长度
    height 高度
    elevation 海拔
    altitude 海拔
    depth 深度
    width 宽度
    distance 距离
    diameter 直径
    radius 半径
    size 大小
    volume 体积
    weight 重量
    mass 质量
    speed 速度
    temperature 温度
    pressure 压力
    power 功率
    energy 能量
    capacity 容量
    duration 时长
    runtime 片长
    age 年龄
    price 价格
    cost 成本
    revenue 收入
    income 收入
    profit 利润
    budget 预算
    salary 工资
    gdp 国内生产总值
    gdp_per_capita 人均国内生产总值
    currency 货币
    language 语言
    official_language 官方语言
    religion 宗教
    nationality 国籍
    gender 性别
    date 日期
    year 年份
    month 月份
    day 日
    time 时间
    start_date 开始日期
    end_date 结束日期
    founded 成立时间
    founded_year 成立年份
    founding_year 成立年份
    founding_date 成立日期
    established 成立时间
    opened 启用时间
    opening_date 启用日期
    built 建成时间
    first_ascent 首次登顶时间
    birth_date 出生日期
    date_of_birth 出生日期
    birth_year 出生年份
    death_date 逝世日期
    death_year 逝世年份
    release_date 发行日期
    release_year 发行年份
    rank 排名
    rating 评分
    score 得分
    count 数量
    quantity 数量
    amount 金额
    total 总
    average 平均
    annual 年
    maximum 最高
    minimum 最低
    official 官方
    mean 平均
    discharge 流量
    mouth 河口
    source 源头
    prominence 相对高度
    range 山脉
    mountain_range 山脉
    latitude 纬度
    longitude 经度
    timezone 时区
    time_zone 时区
    passengers 旅客吞吐量
    students 学生人数
    employees 员工人数
    enrollment 学生人数
    calling_code 国际区号
    postal_code 邮政编码
    zip 邮政编码
    phone 电话
    phone_number 电话号码
    email 电子邮箱
    website 网站
    color 颜色
    colour 颜色
    material 材料
    symbol 符号
    iso2 两位国家代码
    iso3 三位国家代码
    iata IATA代码
    icao ICAO代码
    life_expectancy 预期寿命
    literacy_rate 识字率
    growth_rate 增长率
    unemployment_rate 失业率
    share 份额
    rate 比率
    level 等级
    version 版本
    """.strip().splitlines()
}
_ENGLISH = {chinese: english for english, chinese in reversed(_CHINESE.items())} | {
    "名字": "name",
    "姓名": "name",
    "中文名": "name",
    "中文名称": "name",
    "英文名": "name",
    "国": "country",
    "省": "province",
    "市": "city",
    "年": "year",
    "海拔高度": "elevation",
}


def has_han(text: str) -> bool:
    """Whether a Chinese character stands in the text."""
    return any("\u3400" <= c <= "\u9fff" for c in text)


def chinese(name: str) -> str | None:
    """Chinese for an English identifier: as a whole, else word for word; None if unknown."""
    if name in _CHINESE:
        return _CHINESE[name]
    plain = name.replace(" ", "_")
    words = plain.split("_")
    last = "_".join([*words[:-1], singular(words[-1])])
    if last in _CHINESE:
        return _CHINESE[last]
    expanded = humanised(plain).replace(" ", "_")
    if expanded in _CHINESE:
        return _CHINESE[expanded]
    words = expanded.split("_")
    parts = [_CHINESE.get(word) for word in words]
    return "".join(part for part in parts if part) if all(parts) and len(parts) < 4 else None


def english(name: str) -> str | None:
    """The English identifier for a Chinese name; None if unknown."""
    return _ENGLISH.get(name)


# --- units -----------------------------------------------------------------------------------


class Named(NamedTuple):
    """A column's name without its unit."""

    base: str
    """Identifier without the unit; the whole one when there is none."""
    unit: str | None


_SPELLINGS = {
    "km2": "km2 km² sqkm sq_km sq.km square_kilometres square_kilometers 平方公里 平方千米",
    "m2": "m2 m² sqm sq_m square_metres square_meters 平方米",
    "mi2": "mi2 mi² sqmi sq_mi square_miles 平方英里",
    "ha": "ha hectares hectare 公顷",
    "m3": "m3 m³ cubic_metres cubic_meters 立方米",
    "km3": "km3 km³ cubic_kilometres 立方公里 立方千米",
    "km": "km kms kilometres kilometers 公里 千米",
    "m": "m metres meters 米",
    "cm": "cm centimetres centimeters 厘米",
    "mm": "mm millimetres millimeters 毫米",
    "ft": "ft feet 英尺",
    "mi": "mi miles 英里",
    "kg": "kg kgs kilograms 千克 公斤",
    "g": "g grams 克",
    "t": "t tons tonnes 吨",
    "lb": "lb lbs pounds 磅",
    "s": "s sec secs seconds 秒",
    "min": "min mins minutes 分钟",
    "h": "h hr hrs hours 小时",
    "L": "l litres liters 升",
    "mL": "ml millilitres milliliters 毫升",
    "m3/s": "m3s m3_s m3/s m³/s cumecs 立方米每秒",
    "km/h": "kmh kph km_h km/h 公里每小时",
    "mph": "mph",
    "USD": "usd dollars us$ $ 美元",
    "EUR": "eur euros € 欧元",
    "GBP": "gbp £ 英镑",
    "CNY": "cny rmb 元 人民币",
    "JPY": "jpy 日元",
    "%": "pct percent percentage % 百分比",
    "°C": "c celsius degc °c ℃ 摄氏度",
    "°F": "f fahrenheit degf °f ℉",
    "MW": "mw megawatts 兆瓦",
    "kW": "kw kilowatts 千瓦",
    "kWh": "kwh",
    "GWh": "gwh",
    "TWh": "twh",
}
_UNITS = {spelling: unit for unit, line in _SPELLINGS.items() for spelling in line.split()}
_SHORT = {
    "t": "weight mass payload displacement production load cargo emissions",
    "g": "weight mass protein fat carbs sugar fiber fibre salt",
    "s": "time duration period lap",
    "h": "time duration runtime",
    "min": "time duration runtime length lap",
    "l": "volume capacity displacement engine tank",
    "c": "temp temperature melting boiling point",
    "f": "temp temperature melting boiling point",
}
"""A unit of one letter (or `min`) counts only behind a word of its quantity."""
_NO_LENGTH = frozenset(
    "population people revenue gdp budget sales profit cap users followers views passengers "
    "visitors price cost income debt usd eur gbp cny value capital amount".split()
)
"""Behind these `_m` means millions."""
_BRACKETED = re.compile(r"^(.*?)\s*[(\[（【]\s*([^)\]）】]{1,30}?)\s*[)\]）】]\s*(.*)$")


def unit_in(original: str, name: str) -> Named:
    """The unit in a column's name: "Area (km²)", `area_km2`, `elevation_m`."""
    if bracketed := _BRACKETED.match(original):
        before, inside, behind = bracketed.groups()
        unit = _UNITS.get(re.sub(r"[\s_]+", "_", inside.strip().lower()))
        left = [part for part in name.split("_") if part]
        if unit is not None and not behind and before.strip():
            return Named(_without(left, inside), unit)
    parts = name.split("_")
    for count in (3, 2, 1):
        base, suffix = parts[:-count], "_".join(parts[-count:])
        unit = _UNITS.get(suffix)
        if base and unit is not None and _fits(suffix, base):
            return Named("_".join(base), unit)
    return Named(name, None)


def _without(parts: list[str], inside: str) -> str:
    """An identifier's parts without those that came from the bracket at its end."""
    count = len([part for part in re.split(r"[\W_]+", inside) if part])
    return "_".join(parts[: len(parts) - count]) or "_".join(parts)


def _fits(suffix: str, base: list[str]) -> bool:
    if suffix == "m":
        return _NO_LENGTH.isdisjoint(base)
    words = _SHORT.get(suffix)
    return words is None or not frozenset(words.split()).isdisjoint(base)


# --- labels ----------------------------------------------------------------------------------


def column_labels(base: str) -> dict[Language, str]:
    """How a column is called in a sentence, from its identifier without the unit."""
    if has_han(base):
        translated = english(base)
        return {"en": humanised(translated) if translated else base, "zh": base}
    return {"en": humanised(base), "zh": chinese(base) or humanised(base)}


def table_labels(name: str) -> tuple[dict[Language, str], dict[Language, str]]:
    """What one row of a table is called, and several."""
    words = name.split("_")
    one = "_".join([*words[:-1], singular(words[-1])])
    labels = column_labels(one)
    last = labels["en"].split(" ")
    many = " ".join([*last[:-1], plural(last[-1])]) if labels["en"].isascii() else labels["en"]
    return labels, {"en": many, "zh": labels["zh"]}
