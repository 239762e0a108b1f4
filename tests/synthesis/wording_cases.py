"""Wordings that ask something else, and wordings that ask the same: (old, new), by language."""

from __future__ import annotations

from astra.types import Language

WRONG: dict[Language, list[tuple[str, str]]] = {
    "en": [
        (
            "How many rivers of Peru are longer than 500 km?",
            "Which rivers of Peru are longer than 500 km?",
        ),
        ("How many lakes lie in Norway?", "What are the lakes that lie in Norway?"),
        ("How many species does the park host?", "Where are the species that the park hosts?"),
        ("Which city hosted the 1912 Games?", "How many cities hosted the 1912 Games?"),
        ("Who wrote the song Halo?", "When was the song Halo written?"),
        ("In which year did the Louvre open?", "In which city did the Louvre open?"),
        ("How high is Mount Kenya, in feet?", "How high is Mount Kenya, in metres?"),
        ("How high is Mount Kenya, in feet?", "How high is Mount Kenya?"),
        (
            "What is the mean distance of Mars in miles?",
            "How many kilometres away is Mars on average?",
        ),
        ("What does the parcel weigh in kilograms?", "What is the weight of the parcel in pounds?"),
        ("How long is the film Heat, in minutes?", "For how many hours does the film Heat run?"),
        (
            "What is the opening date of the Tate Modern?",
            "What is the closing date of the Tate Modern?",
        ),
        ("Which museum in Lima opened first?", "Which museum in Lima opened last?"),
        ("What is the largest island of Greece?", "What is the smallest island of Greece?"),
        ("How many towers are taller than 300 m?", "How many towers are shorter than 300 m?"),
        ("How many guests arrived after 9 May 2021?", "How many guests arrived before 9 May 2021?"),
        ("Which of the hotels has at least 40 rooms?", "Which of the hotels has at most 40 rooms?"),
        ("Which cities are not served by rail?", "Which cities are served by rail?"),
        ("How many films did Ang Lee direct?", "How many films did Ang Lee not direct?"),
        (
            "Which countries except Chad border Niger?",
            "Which countries border Niger, as Chad does?",
        ),
        ("What is the population of Oslo?", "What is the area of Oslo?"),
        ("Who is the founder of IKEA?", "Who is the director of IKEA?"),
        ("What is the height of the Eiffel Tower?", "What is the weight of the Eiffel Tower?"),
        ("What is the boiling point of lead?", "What is the melting point of lead?"),
        (
            "In which year was Ada Lovelace born?",
            "In which year did Ada Lovelace die? I mean her death.",
        ),
        ("How much does Chad import from France?", "How much does Chad export to France?"),
    ],
    "zh": [
        ("秘鲁有多少条河流超过500公里？", "秘鲁哪些河流超过500公里？"),
        ("这个公园有多少种鸟？", "这个公园的鸟在哪里？"),
        ("哪座城市举办了1912年奥运会？", "有多少座城市举办了1912年奥运会？"),
        ("谁写了《活着》？", "《活着》是什么时候写的？"),
        ("卢浮宫是哪一年开放的？", "卢浮宫是在哪座城市开放的？"),
        ("肯尼亚山有多少英尺高？", "肯尼亚山有多少米高？"),
        ("火星离太阳多少英里？", "火星离太阳多少公里？"),
        ("这个包裹重多少千克？", "这个包裹重多少磅？"),
        ("电影《盗火线》有多少分钟？", "电影《盗火线》有多少小时？"),
        ("挪威的面积是多少平方公里？", "挪威的面积是多少？"),
        ("泰特美术馆的开馆日期是什么？", "泰特美术馆的闭馆日期是什么？"),
        ("利马最早建成的博物馆是哪座？", "利马最晚建成的博物馆是哪座？"),
        ("希腊最大的岛是哪个？", "希腊最小的岛是哪个？"),
        ("有多少座塔超过300米？", "有多少座塔低于300米？"),
        ("2021年5月9日之后到了多少位客人？", "2021年5月9日之前到了多少位客人？"),
        ("哪家酒店至少有40间房？", "哪家酒店至多有40间房？"),
        ("哪些城市没有通铁路？", "哪些城市通铁路？"),
        ("李安导演了多少部电影？", "有多少部电影不是李安导演的？"),
        ("奥斯陆的人口是多少？", "奥斯陆的面积是多少？"),
        ("宜家的创始人是谁？", "宜家的总统是谁？"),
        ("埃菲尔铁塔的高度是多少？", "埃菲尔铁塔的重量是多少？"),
        ("铅的沸点是多少？", "铅的熔点是多少？"),
        ("鲁迅是哪一年出生的？", "鲁迅是哪一年去世的？"),
        ("乍得从法国进口了多少货物？", "乍得向法国出口了多少货物？"),
    ],
}
RIGHT: dict[Language, list[tuple[str, str]]] = {
    "en": [
        (
            "What is the currency of the country in which the mountain Kilimanjaro is located?",
            "If I climb Kilimanjaro, what currency will I need in the country it stands in?",
        ),
        (
            "How many rivers of Peru are longer than 500 km?",
            "What is the number of rivers in Peru over 500 km long?",
        ),
        ("What is the population of Oslo?", "How many people live in Oslo?"),
        ("What is the height of Mount Kenya in feet?", "How many feet high is Mount Kenya?"),
        ("In which year did the Louvre open?", "When did the Louvre open its doors?"),
        ("What year was the Louvre opened?", "The Louvre was opened in which year?"),
        (
            "Which country has more inhabitants, Chad or Peru?",
            "Do more people live in Chad or in Peru, and which of them is it?",
        ),
        ("Who is the author of the novel Emma?", "Which writer wrote the novel Emma?"),
        ("In which city is the Prado located?", "Where can I find the Prado, I mean the city?"),
        (
            "How many hotels have more than 40 rooms?",
            "I am curious: how many hotels have over 40 rooms?",
        ),
        ("What does a ticket to Lima cost?", "A ticket to Lima: what is the price?"),
        (
            "How many towers are no taller than 300 m?",
            "What number of towers is at most 300 m tall, so not above it?",
        ),
        ("Which museum of Lima is the oldest?", "Which museum in Lima opened earliest?"),
        ("What is the area of Chad in square kilometres?", "How big is the area of Chad, in km²?"),
        (
            "How many days passed from 9 May 2021 to 3 June 2021?",
            "9 May 2021 and 3 June 2021 are how many days apart?",
        ),
        (
            "What is the capital of Peru?",
            "I could not say what the capital of Peru is. Do you know it?",
        ),
        (
            "What does a flight to Lima cost? If there are no flights, say so.",
            "What is the price of a flight to Lima? Say so if nothing flies.",
        ),
        (
            "What does a room cost? If the hotel doesn't take guests, say so.",
            "What is the price of a room? Tell me if rooms are unavailable.",
        ),
        ("Which cities are not served by rail?", "Which are the cities without a railway?"),
        ("What is the opening date of the Tate Modern?", "On what date did the Tate Modern open?"),
        (
            "How much heavier is lead than tin, in grams?",
            "By how many grams does lead outweigh tin?",
        ),
        (
            "What is the largest island of Greece?",
            "Of the islands of Greece, which one is the biggest?",
        ),
        ("How long is the Nile in kilometres?", "The Nile: what is its length in km?"),
        ("What percentage of Peru is forest?", "How many percent of Peru is covered by forest?"),
        ("Who founded IKEA?", "Tell me, who was the founder of IKEA?"),
        ("What is the salary of a nurse in Oslo?", "What does a nurse earn in Oslo?"),
        ("In which year was Ada Lovelace born?", "What is the year of birth of Ada Lovelace?"),
    ],
    "zh": [
        (
            "乞力马扎罗山所在的国家的货币是什么？",
            "我想去爬乞力马扎罗山，到了那个国家要用什么货币？",
        ),
        ("秘鲁有多少条河流超过500公里？", "在秘鲁，长度大于500公里的河流有几条？"),
        ("奥斯陆的人口是多少？", "奥斯陆住着多少人？人口数告诉我就行。"),
        ("肯尼亚山的高度是多少英尺？", "肯尼亚山有多高？请用英尺回答。"),
        ("卢浮宫是哪一年开放的？", "卢浮宫是什么时候开放的？我想知道年份。"),
        ("谁写了《活着》？", "《活着》的作者是哪位？"),
        ("普拉多博物馆位于哪座城市？", "普拉多博物馆在哪里？我指的是城市。"),
        ("有多少家酒店的房间超过40间？", "房间数多于40间的酒店有几家？"),
        ("去利马的票价是多少？", "去利马的票要多少钱？"),
        ("有多少座塔不超过300米？", "至多300米的塔有多少座？"),
        ("利马最早建成的博物馆是哪座？", "在利马，哪座博物馆建成最早？"),
        ("乍得的面积是多少平方公里？", "乍得有多大？请用平方公里表示。"),
        ("从2021年5月9日到2021年6月3日有多少天？", "2021年5月9日与2021年6月3日相隔几天？"),
        ("秘鲁的首都是哪里？", "同事问我秘鲁的首都是哪里，我答不上来。"),
        ("哪些城市没有通铁路？", "哪些城市还未通铁路？"),
        ("泰特美术馆的开馆日期是什么？", "泰特美术馆是哪天开馆的？"),
        ("铅比锡重多少克？", "铅与锡相比，重了多少克？"),
        ("希腊最大的岛是哪个？", "希腊的岛屿中，最大的是哪一座？"),
        ("尼罗河的长度是多少公里？", "尼罗河全长多少公里？"),
        ("秘鲁的森林占百分之多少？", "秘鲁的森林覆盖百分比是多少？"),
        ("宜家的创始人是谁？", "请问谁是宜家的创始人？"),
        ("奥斯陆护士的工资是多少？", "在奥斯陆做护士，薪水有多少？"),
        ("鲁迅是哪一年出生的？", "鲁迅的出生年份是哪一年？"),
    ],
}


def flat(cases: dict[Language, list[tuple[str, str]]]) -> list[tuple[Language, str, str]]:
    """The cases of both languages as (language, old, new)."""
    return [(language, old, new) for language, pairs in cases.items() for old, new in pairs]
