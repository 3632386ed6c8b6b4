"""Tests of the language table and of the matching between code systems."""

import pytest

from crossalign.languages import RIGHT_TO_LEFT, Language, _table, language, matching_code, nearest


def _codes(text: str) -> list[str]:
    """Split a list of codes."""
    return text.split()


# The 204 codes of the FLORES-200 README (facebookresearch/flores, commit a6c830c).
FLORES = _codes("""
    ace_Arab ace_Latn acm_Arab acq_Arab aeb_Arab afr_Latn ajp_Arab aka_Latn als_Latn amh_Ethi apc_Arab
    arb_Arab arb_Latn ars_Arab ary_Arab arz_Arab asm_Beng ast_Latn awa_Deva ayr_Latn azb_Arab azj_Latn
    bak_Cyrl bam_Latn ban_Latn bel_Cyrl bem_Latn ben_Beng bho_Deva bjn_Arab bjn_Latn bod_Tibt bos_Latn
    bug_Latn bul_Cyrl cat_Latn ceb_Latn ces_Latn cjk_Latn ckb_Arab crh_Latn cym_Latn dan_Latn deu_Latn
    dik_Latn dyu_Latn dzo_Tibt ell_Grek eng_Latn epo_Latn est_Latn eus_Latn ewe_Latn fao_Latn fij_Latn
    fin_Latn fon_Latn fra_Latn fur_Latn fuv_Latn gaz_Latn gla_Latn gle_Latn glg_Latn grn_Latn guj_Gujr
    hat_Latn hau_Latn heb_Hebr hin_Deva hne_Deva hrv_Latn hun_Latn hye_Armn ibo_Latn ilo_Latn ind_Latn
    isl_Latn ita_Latn jav_Latn jpn_Jpan kab_Latn kac_Latn kam_Latn kan_Knda kas_Arab kas_Deva kat_Geor
    kaz_Cyrl kbp_Latn kea_Latn khk_Cyrl khm_Khmr kik_Latn kin_Latn kir_Cyrl kmb_Latn kmr_Latn knc_Arab
    knc_Latn kon_Latn kor_Hang lao_Laoo lij_Latn lim_Latn lin_Latn lit_Latn lmo_Latn ltg_Latn ltz_Latn
    lua_Latn lug_Latn luo_Latn lus_Latn lvs_Latn mag_Deva mai_Deva mal_Mlym mar_Deva min_Arab min_Latn
    mkd_Cyrl mlt_Latn mni_Beng mos_Latn mri_Latn mya_Mymr nld_Latn nno_Latn nob_Latn npi_Deva nso_Latn
    nus_Latn nya_Latn oci_Latn ory_Orya pag_Latn pan_Guru pap_Latn pbt_Arab pes_Arab plt_Latn pol_Latn
    por_Latn prs_Arab quy_Latn ron_Latn run_Latn rus_Cyrl sag_Latn san_Deva sat_Olck scn_Latn shn_Mymr
    sin_Sinh slk_Latn slv_Latn smo_Latn sna_Latn snd_Arab som_Latn sot_Latn spa_Latn srd_Latn srp_Cyrl
    ssw_Latn sun_Latn swe_Latn swh_Latn szl_Latn tam_Taml taq_Latn taq_Tfng tat_Cyrl tel_Telu tgk_Cyrl
    tgl_Latn tha_Thai tir_Ethi tpi_Latn tsn_Latn tso_Latn tuk_Latn tum_Latn tur_Latn twi_Latn tzm_Tfng
    uig_Arab ukr_Cyrl umb_Latn urd_Arab uzn_Latn vec_Latn vie_Latn war_Latn wol_Latn xho_Latn ydd_Hebr
    yor_Latn yue_Hant zho_Hans zho_Hant zsm_Latn zul_Latn
""")

# The 122 codes of the Belebele README (facebookresearch/belebele), which has "ary_Arab" as "ary_arab".
BELEBELE = _codes("""
    acm_Arab afr_Latn als_Latn amh_Ethi apc_Arab arb_Arab arb_Latn ars_Arab ary_Arab arz_Arab asm_Beng
    azj_Latn bam_Latn ben_Beng ben_Latn bod_Tibt bul_Cyrl cat_Latn ceb_Latn ces_Latn ckb_Arab dan_Latn
    deu_Latn ell_Grek eng_Latn est_Latn eus_Latn fin_Latn fra_Latn fuv_Latn gaz_Latn grn_Latn guj_Gujr
    hat_Latn hau_Latn heb_Hebr hin_Deva hin_Latn hrv_Latn hun_Latn hye_Armn ibo_Latn ilo_Latn ind_Latn
    isl_Latn ita_Latn jav_Latn jpn_Jpan kac_Latn kan_Knda kat_Geor kaz_Cyrl kea_Latn khk_Cyrl khm_Khmr
    kin_Latn kir_Cyrl kor_Hang lao_Laoo lin_Latn lit_Latn lug_Latn luo_Latn lvs_Latn mal_Mlym mar_Deva
    mkd_Cyrl mlt_Latn mri_Latn mya_Mymr nld_Latn nob_Latn npi_Deva npi_Latn nso_Latn nya_Latn ory_Orya
    pan_Guru pbt_Arab pes_Arab plt_Latn pol_Latn por_Latn ron_Latn rus_Cyrl shn_Mymr sin_Latn sin_Sinh
    slk_Latn slv_Latn sna_Latn snd_Arab som_Latn sot_Latn spa_Latn srp_Cyrl ssw_Latn sun_Latn swe_Latn
    swh_Latn tam_Taml tel_Telu tgk_Cyrl tgl_Latn tha_Thai tir_Ethi tsn_Latn tso_Latn tur_Latn ukr_Cyrl
    urd_Arab urd_Latn uzn_Latn vie_Latn war_Latn wol_Latn xho_Latn yor_Latn zho_Hans zho_Hant zsm_Latn
    zul_Latn
""")

XCOPA = _codes("en et ht id it qu sw ta th tr vi zh")
XSTORYCLOZE = _codes("ar en es eu hi id my ru sw te zh")
COMMON = _codes("de fr ja ko pt nl pl uk cs el he fa ur bn ne si am yo zu xh")

# The code of each system for one and the same variant.
EQUIVALENT = [
    ("sw", "swa", "swh", "swh_Latn"),
    ("zh", "zho", "chi", "cmn", "zho_Hans", "zh-Hans", "cmn_Hans", "zh-CN"),
    ("zh-TW", "zho_Hant", "zh_Hant", "cmn-Hant", "zh-HK"),
    ("ar", "ara", "arb", "arb_Arab", "ara_Arab"),
    ("et", "est", "ekk", "est_Latn", "ekk_Latn"),
    ("fa", "fas", "per", "pes", "pes_Arab"),
    ("ms", "msa", "may", "zsm", "zsm_Latn"),
    ("ne", "nep", "npi", "npi_Deva"),
    ("qu", "que", "quy", "quy_Latn"),
    ("uz", "uzb", "uzn", "uzn_Latn"),
    ("sq", "sqi", "alb", "als", "als_Latn"),
    ("mn", "mon", "khk", "khk_Cyrl"),
    ("az", "aze", "azj", "azj_Latn"),
    ("lv", "lav", "lvs", "lvs_Latn"),
    ("or", "ori", "ory", "ory_Orya"),
    ("yi", "yid", "ydd", "ydd_Hebr"),
    ("ht", "hat", "hat_Latn"),
    ("my", "mya", "bur", "mya_Mymr"),
    ("eu", "eus", "baq", "eus_Latn"),
    ("no", "nb", "nor", "nob", "nob_Latn"),
    ("he", "iw", "heb", "heb_Hebr"),
    ("id", "in", "ind", "ind_Latn"),
    ("tl", "fil", "tgl", "tgl_Latn"),
    ("ku", "kmr", "kur", "kmr_Latn"),
    ("gn", "grn", "gug", "grn_Latn"),
    ("pt", "pt-BR", "por", "por_Latn"),
    ("af", "af_za", "afr", "AFR_latn"),
]


@pytest.mark.parametrize(("codes", "count"), [(FLORES, 204), (BELEBELE, 122)])
def test_lists_are_complete(codes: list[str], count: int) -> None:
    assert len(set(codes)) == len(codes) == count


@pytest.mark.parametrize("code", sorted({*FLORES, *BELEBELE}))
def test_every_benchmark_code_resolves(code: str) -> None:
    found = language(code)
    assert found.code == code
    assert found.script == code.partition("_")[2]
    assert found.name
    assert found.family
    assert found.branch
    assert found.resource_level in (None, 0, 1, 2, 3, 4, 5)


@pytest.mark.parametrize("code", sorted({*XCOPA, *XSTORYCLOZE, *COMMON}))
def test_two_letter_codes_find_one_flores_code(code: str) -> None:
    match = matching_code(code, FLORES)
    assert match is not None
    assert language(code).script == language(match).script
    assert matching_code(match, [code, "xx"]) == code


@pytest.mark.parametrize(
    "expected",
    [
        Language("arb_Arab", "Modern Standard Arabic", "Arab", "rtl", "Afro-Asiatic", "Semitic", 5),
        Language("ar", "Arabic", "Arab", "rtl", "Afro-Asiatic", "Semitic", 5),
        Language("zho_Hans", "Chinese (Simplified)", "Hans", "ltr", "Sino-Tibetan", "Sinitic", 5),
        Language("zh", "Chinese", "Hans", "ltr", "Sino-Tibetan", "Sinitic", 5),
        Language("sw", "Swahili", "Latn", "ltr", "Niger-Congo", "Bantu", 2),
        Language("qu", "Quechua", "Latn", "ltr", "Quechuan", "Southern Quechua", 1),
        Language("quy", "Ayacucho Quechua", "Latn", "ltr", "Quechuan", "Southern Quechua", 1),
        Language("eus_Latn", "Basque", "Latn", "ltr", "isolate", "Basque", 4),
        Language("hin_Latn", "Hindi (Romanized)", "Latn", "ltr", "Indo-European", "Indo-Aryan", 4),
        Language("arz_Arab", "Egyptian Arabic", "Arab", "rtl", "Afro-Asiatic", "Semitic", 3),
        Language("acm_Arab", "Mesopotamian Arabic", "Arab", "rtl", "Afro-Asiatic", "Semitic", None),
    ],
    ids=lambda expected: expected.code,
)
def test_facts(expected: Language) -> None:
    assert language(expected.code) == expected


@pytest.mark.parametrize(
    ("code", "direction"),
    [
        ("arb_Arab", "rtl"),
        ("heb_Hebr", "rtl"),
        ("ydd_Hebr", "rtl"),
        ("urd_Arab", "rtl"),
        ("pes_Arab", "rtl"),
        ("ckb_Arab", "rtl"),
        ("uig_Arab", "rtl"),
        ("dv", "rtl"),
        ("ks", "rtl"),
        ("kas_Deva", "ltr"),
        ("urd_Latn", "ltr"),
        ("arb_Latn", "ltr"),
        ("ja", "ltr"),
        ("taq_Tfng", "ltr"),
    ],
)
def test_direction(code: str, direction: str) -> None:
    assert language(code).direction == direction


@pytest.mark.parametrize("group", EQUIVALENT, ids=lambda group: group[0])
def test_round_trips_between_code_systems(group: tuple[str, ...]) -> None:
    for text in group:
        for code in group:
            assert matching_code(text, [code, "eng_Latn"]) == code


@pytest.mark.parametrize(
    ("text", "codes", "expected"),
    [
        ("swahili", FLORES, "swh_Latn"),
        (" Kiswahili ", FLORES, "swh_Latn"),
        ("Simplified Chinese", FLORES, "zho_Hans"),
        ("chinese (traditional)", FLORES, "zho_Hant"),
        ("chinese", XCOPA, "zh"),
        ("chinese", FLORES, None),
        ("Chinese", ["zho_Hant", "eng_Latn"], "zho_Hant"),
        ("arabic", FLORES, "arb_Arab"),
        ("Arabic", ["arz_Arab"], None),
        ("Egyptian Arabic", FLORES, "arz_Arab"),
        ("hindi", BELEBELE, "hin_Deva"),
        ("hi", BELEBELE, "hin_Deva"),
        ("hi", ["hin_Latn"], None),
        ("Hindi (romanised)", BELEBELE, "hin_Latn"),
        ("Norwegian", FLORES, None),
        ("nynorsk", FLORES, "nno_Latn"),
        ("norwegian bokmal", FLORES, "nob_Latn"),
        ("kurdish", FLORES, None),
        ("Farsi", FLORES, "pes_Arab"),
        ("Ta\u2019izzi-Adeni Arabic", FLORES, "acq_Arab"),
        ("Burmese", XSTORYCLOZE, "my"),
        ("SWH_latn", FLORES, "swh_Latn"),
        ("ace", FLORES, "ace_Latn"),
        ("Acehnese", FLORES, None),
        ("sw", ["swh_Latn", "sw"], "sw"),
        ("swa", ["swh_Latn", "sw"], None),
        ("ZH", ["zh", "zho_Hans"], "zh"),
        ("Split-A", ["split-a", "en"], "split-a"),
        ("klingon", FLORES, None),
        ("", FLORES, None),
        ("sw", [], None),
    ],
)
def test_matching_code(text: str, codes: list[str], expected: str | None) -> None:
    assert matching_code(text, codes) == expected


def test_matching_code_reads_any_iterable_once() -> None:
    assert matching_code("Estonian", iter(XCOPA)) == "et"


@pytest.mark.parametrize("code", FLORES)
def test_english_name_finds_the_code_back(code: str) -> None:
    assert matching_code(language(code).name, FLORES) == code


@pytest.mark.parametrize("code", ["", "xx", "qqq", "english", "eng_Abcd", "eng_Arab", "swh_Latn_x", "../etc"])
def test_unknown_code_is_a_key_error(code: str) -> None:
    with pytest.raises(KeyError, match="is not a known language code"):
        language(code)


@pytest.mark.parametrize(
    ("text", "codes", "first"),
    [
        ("swahilli", FLORES, "swh_Latn"),
        ("sw", XCOPA, "sw"),
        ("zho_Hanz", FLORES, "zho_Hans"),
        ("tukish", XCOPA, "tr"),
        ("Estonain", FLORES, "est_Latn"),
        ("bokmaal", FLORES, "nob_Latn"),
    ],
)
def test_nearest_puts_the_meant_code_first(text: str, codes: list[str], first: str) -> None:
    assert nearest(text, codes)[0] == first


def test_nearest_offers_every_reading_of_an_ambiguous_name() -> None:
    assert set(nearest("chinese", FLORES, n=2)) == {"zho_Hans", "zho_Hant"}
    assert set(nearest("levantine", FLORES, n=2)) == {"ajp_Arab", "apc_Arab"}
    assert set(nearest("hi", ["hin_Latn", "fra_Latn"])) == {"hin_Latn"}


def test_nearest_keeps_to_its_limit() -> None:
    assert len(nearest("arabic", FLORES, n=5)) == 5
    assert nearest("xyzzy", XCOPA) == []
    assert nearest("sw", []) == []
    with pytest.raises(ValueError, match="at least 1"):
        nearest("sw", XCOPA, n=0)


@pytest.mark.parametrize(
    ("level", "bases"),
    [
        (5, "arb deu eng fra jpn spa zho"),
        (4, "cat ces eus fin hin hrv hun ita kor nld pes pol por rus srp swe tur vie"),
        (None, "acm acq aeb ajp apc ars ary ave cjk hne kea kmb luo nbl nde tzm"),
    ],
)
def test_resource_classes_follow_the_released_list(level: int | None, bases: str) -> None:
    found = {variant.base for variant in _table().values() if variant.resource_level == level}
    assert found == set(bases.split())


def test_table_is_consistent() -> None:
    variants = list(_table().values())
    bare = [code for variant in variants for code in variant.codes + variant.general_codes]
    assert len(bare) == len(set(bare)), "a bare code must stand for one variant"
    assert {variant.base for variant in variants} <= set(bare), "every ISO 639-3 part must itself resolve"
    assert all(variant.general_name for variant in variants if variant.general_codes)
    assert {variant.script for variant in variants} & RIGHT_TO_LEFT == {
        "Arab",
        "Avst",
        "Hebr",
        "Nkoo",
        "Thaa",
    }


def test_bare_codes_agree_with_langcodes() -> None:
    langcodes = pytest.importorskip("langcodes")
    macro = pytest.importorskip("langcodes.data_dicts").MACROLANGUAGES
    # langcodes does not tie these to the code that FLORES-200 gives the same language.
    known = {"cmn", "ekk", "gug", "kpv", "no", "nor"}
    for variant in _table().values():
        base = langcodes.Language.get(variant.base)
        for code in {*variant.codes, *variant.general_codes} - known:
            wide = langcodes.Language.get(code)
            same = wide.to_alpha3() == base.to_alpha3()
            assert same or macro.get(variant.base) == wide.language, (code, variant.code)
