"""The domain of a service by words that stand in its tools."""

from __future__ import annotations

import random
import re
from collections import Counter

from astra.teacher.prompts.tools import DOMAIN, Domain, DomainIn, DomainOut
from astra.testing.rule_teacher.faults import Planter

_WORDS: dict[Domain, str] = {
    Domain.software_development: "repository commit branch issue code build deploy git 代码 仓库",
    Domain.databases: "database table sql query record row collection index 数据库 查询语句",
    Domain.files: "file folder directory path disk 文件 目录 文件夹",
    Domain.documents: "document note page wiki markdown pdf paragraph 文档 笔记",
    Domain.web_search: "search web url crawl scrape page result 搜索 网页",
    Domain.browser_automation: "browser click screenshot navigate tab element 浏览器 点击",
    Domain.cloud_infrastructure: "cluster container instance pod vm dns server deploy 集群 容器",
    Domain.monitoring: "log metric alert dashboard incident trace 监控 日志 告警",
    Domain.security: "vulnerability scan certificate password threat malware 漏洞 安全",
    Domain.artificial_intelligence: "model prompt embedding memory entity knowledge 模型 记忆",
    Domain.data_analysis: "chart plot statistics dataset column correlation 图表 统计",
    Domain.mathematics: "calculate sum equation matrix number unit integral 计算 方程",
    Domain.science: "paper molecule protein gene arxiv experiment star 论文 分子",
    Domain.education: "course lesson student exam quiz word dictionary 课程 学生 考试",
    Domain.language_translation: "translate language grammar speech 翻译 语言",
    Domain.communication: "mail email message chat channel inbox call 邮件 消息",
    Domain.social_media: "post tweet follower like feed profile 微博 粉丝 帖子",
    Domain.productivity: "task todo project note board tag list 任务 待办 项目",
    Domain.calendar: "calendar event meeting appointment room booking reminder 日历 会议 预约 日程",
    Domain.customer_service: "customer ticket contact lead support survey 客户 工单",
    Domain.human_resources: "employee job candidate payroll resume 员工 招聘 简历",
    Domain.marketing: "campaign ad keyword seo audience 广告 营销",
    Domain.finance: "stock market share price bank account currency exchange 股票 汇率 基金",
    Domain.payments: "invoice payment refund charge subscription 支付 发票 退款",
    Domain.cryptocurrency: "token wallet blockchain bitcoin ethereum 区块链 代币",
    Domain.shopping: "product cart order price shop review catalogue 商品 购物车 订单",
    Domain.logistics: "warehouse shipment parcel stock item supplier delivery 物流 仓库 快递",
    Domain.travel: "flight hotel train itinerary airport trip passenger 航班 酒店 火车 旅行",
    Domain.maps: "map route distance latitude longitude place address 地图 路线 地址",
    Domain.weather: "weather forecast temperature rain wind humidity 天气 气温 预报",
    Domain.food: "recipe restaurant meal ingredient dish nutrition 菜谱 餐厅 食材",
    Domain.health: "patient doctor medicine symptom fitness clinic 病人 医生 药",
    Domain.sports: "match team player league score season 比赛 球队",
    Domain.games: "game player level puzzle move chess 游戏 玩家",
    Domain.entertainment: "movie film series show book actor 电影 电视剧 图书",
    Domain.music: "song artist album playlist track lyrics 歌曲 歌手",
    Domain.images_video: "image video picture photo frame design 图片 视频",
    Domain.news: "news headline article feed 新闻 头条",
    Domain.government: "law court election public agency permit library loan 法律 政府 政务",
    Domain.real_estate: "house rent apartment property listing mortgage 房屋 租金 房源",
    Domain.home_devices: "device light sensor thermostat switch lock 设备 灯光 传感器",
}


def classify_domain(given: DomainIn, rng: random.Random) -> DomainOut:
    """The domain most of whose words stand in the service's tools; `other` without two hits."""
    del rng
    texts = [given.name, given.description, *(f"{t.name} {t.description}" for t in given.tools)]
    text = " ".join(texts).casefold()
    counts = Counter(word for word in re.findall(r"[a-z]+", text.replace("_", " ")))
    best, hits, which = Domain.other, 1, ""
    for domain, words in _WORDS.items():
        found = {
            # Chinese is written without spaces, so its words are looked for as parts of the text.
            word: counts[word] + counts[f"{word}s"] if word.isascii() else text.count(word)
            for word in words.split()
        }
        score = sum(min(number, 5) for number in found.values())
        if score > hits:
            best, hits, which = domain, score, max(found, key=lambda word: found[word])
    about = f"the word {which!r} and {hits - 1} more hits speak for it" if which else "no word fits"
    return DomainOut(reason=f"{given.name}: {about}.", domain=best)


def _elsewhere(given: DomainIn, right: DomainOut, rng: random.Random) -> DomainOut:
    """Another domain than the right one."""
    others = [domain for domain in Domain if domain is not right.domain]
    return right.model_copy(update={"domain": rng.choice(others)})


RULES = {DOMAIN.name: classify_domain}
DEFECTS: dict[str, dict[str, Planter]] = {DOMAIN.name: {"wrong_domain": _elsewhere}}
