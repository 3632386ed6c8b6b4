"""FLORES-200 devtest: parallel sentences, for MEXA. No options and no accuracy."""

from __future__ import annotations

from crossalign.schema import Instance
from crossalign.tasks.records import Origin, Row, Task

LANGUAGES = tuple(
    """
eng_Latn ace_Arab ace_Latn acm_Arab acq_Arab aeb_Arab afr_Latn ajp_Arab aka_Latn als_Latn amh_Ethi apc_Arab arb_Arab
arb_Latn ars_Arab ary_Arab arz_Arab asm_Beng ast_Latn awa_Deva ayr_Latn azb_Arab azj_Latn bak_Cyrl bam_Latn ban_Latn
bel_Cyrl bem_Latn ben_Beng bho_Deva bjn_Arab bjn_Latn bod_Tibt bos_Latn bug_Latn bul_Cyrl cat_Latn ceb_Latn ces_Latn
cjk_Latn ckb_Arab crh_Latn cym_Latn dan_Latn deu_Latn dik_Latn dyu_Latn dzo_Tibt ell_Grek epo_Latn est_Latn eus_Latn
ewe_Latn fao_Latn fij_Latn fin_Latn fon_Latn fra_Latn fur_Latn fuv_Latn gaz_Latn gla_Latn gle_Latn glg_Latn grn_Latn
guj_Gujr hat_Latn hau_Latn heb_Hebr hin_Deva hne_Deva hrv_Latn hun_Latn hye_Armn ibo_Latn ilo_Latn ind_Latn isl_Latn
ita_Latn jav_Latn jpn_Jpan kab_Latn kac_Latn kam_Latn kan_Knda kas_Arab kas_Deva kat_Geor kaz_Cyrl kbp_Latn kea_Latn
khk_Cyrl khm_Khmr kik_Latn kin_Latn kir_Cyrl kmb_Latn kmr_Latn knc_Arab knc_Latn kon_Latn kor_Hang lao_Laoo lij_Latn
lim_Latn lin_Latn lit_Latn lmo_Latn ltg_Latn ltz_Latn lua_Latn lug_Latn luo_Latn lus_Latn lvs_Latn mag_Deva mai_Deva
mal_Mlym mar_Deva min_Arab min_Latn mkd_Cyrl mlt_Latn mni_Beng mos_Latn mri_Latn mya_Mymr nld_Latn nno_Latn nob_Latn
npi_Deva nso_Latn nus_Latn nya_Latn oci_Latn ory_Orya pag_Latn pan_Guru pap_Latn pbt_Arab pes_Arab plt_Latn pol_Latn
por_Latn prs_Arab quy_Latn ron_Latn run_Latn rus_Cyrl sag_Latn san_Deva sat_Olck scn_Latn shn_Mymr sin_Sinh slk_Latn
slv_Latn smo_Latn sna_Latn snd_Arab som_Latn sot_Latn spa_Latn srd_Latn srp_Cyrl ssw_Latn sun_Latn swe_Latn swh_Latn
szl_Latn tam_Taml taq_Latn taq_Tfng tat_Cyrl tel_Telu tgk_Cyrl tgl_Latn tha_Thai tir_Ethi tpi_Latn tsn_Latn tso_Latn
tuk_Latn tum_Latn tur_Latn twi_Latn tzm_Tfng uig_Arab ukr_Cyrl umb_Latn urd_Arab uzn_Latn vec_Latn vie_Latn war_Latn
wol_Latn xho_Latn ydd_Hebr yor_Latn yue_Hant zho_Hans zho_Hant zsm_Latn zul_Latn
""".split()
)

RELABELLED = {
    "ajp_Arab": "apc_Arab_sout3123",
    "aka_Latn": "twi_Latn_asan1239",
    "apc_Arab": "apc_Arab_nort3139",
    "est_Latn": "ekk_Latn",
    "grn_Latn": "gug_Latn",
    "kon_Latn": "ktu_Latn",
    "tgl_Latn": "fil_Latn",
    "twi_Latn": "twi_Latn_akua1239",
    "tzm_Tfng": "zgh_Tfng",
    "zho_Hans": "cmn_Hans",
    "zho_Hant": "cmn_Hant",
}
"""Code of FLORES-200 → that of FLORES+, which is what the Hub has; from the change log of its version 2.0."""

REVISION = "5fec6c13f9e5a4db2f745d4ec0d7c9721ddc4f06"
"""FLORES+ 4.6: corrected since FLORES-200 in some languages, so scores may differ a little from published ones."""

PAPER_SENTENCES = 100
"""MEXA and the DALI paper use the first 100 sentences; the score depends on how many compete."""


def _origin(language: str, split: str) -> Origin:
    name = "devtest" if split == "test" else "dev"
    files = tuple(f"{f}{language}.{name}" for f in (f"flores200_{name}/", f"{name}/", ""))
    configuration = RELABELLED.get(language, language)
    return Origin("openlanguagedata/flores_plus", configuration, name, REVISION, files, gated=True)


def _instance(row: Row, language: str, protocol: str) -> Instance:
    identity = str(row.get("id", row["row_index"]))
    return Instance(identity, identity, row["text"].strip())


TASK = Task(
    name="flores",
    title="FLORES-200",
    languages=LANGUAGES,
    pivot="eng_Latn",
    n_options=0,
    protocols=("sentences",),
    origin=_origin,
    instance=_instance,
    default_limit=PAPER_SENTENCES,
    source="NLLB Team 2022, FLORES-200 devtest (CC BY-SA 4.0)",
)
