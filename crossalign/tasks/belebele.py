"""Belebele: read a passage, answer a question; 4 options, 122 language variants, several questions a passage."""

from __future__ import annotations

from crossalign.schema import Instance
from crossalign.tasks.records import Origin, Row, Task, counted_from_one

REVISION = "7899cdfa4e1e0d733fd77c848e2c273cb1d32be2"
"""Commit on the Hub, with a configuration per language."""

LETTERS = ("A", "B", "C", "D")

LANGUAGES = tuple(
    """
eng_Latn acm_Arab afr_Latn als_Latn amh_Ethi apc_Arab arb_Arab arb_Latn ars_Arab ary_Arab arz_Arab asm_Beng azj_Latn
bam_Latn ben_Beng ben_Latn bod_Tibt bul_Cyrl cat_Latn ceb_Latn ces_Latn ckb_Arab dan_Latn deu_Latn ell_Grek est_Latn
eus_Latn fin_Latn fra_Latn fuv_Latn gaz_Latn grn_Latn guj_Gujr hat_Latn hau_Latn heb_Hebr hin_Deva hin_Latn hrv_Latn
hun_Latn hye_Armn ibo_Latn ilo_Latn ind_Latn isl_Latn ita_Latn jav_Latn jpn_Jpan kac_Latn kan_Knda kat_Geor kaz_Cyrl
kea_Latn khk_Cyrl khm_Khmr kin_Latn kir_Cyrl kor_Hang lao_Laoo lin_Latn lit_Latn lug_Latn luo_Latn lvs_Latn mal_Mlym
mar_Deva mkd_Cyrl mlt_Latn mri_Latn mya_Mymr nld_Latn nob_Latn npi_Deva npi_Latn nso_Latn nya_Latn ory_Orya pan_Guru
pbt_Arab pes_Arab plt_Latn pol_Latn por_Latn ron_Latn rus_Cyrl shn_Mymr sin_Latn sin_Sinh slk_Latn slv_Latn sna_Latn
snd_Arab som_Latn sot_Latn spa_Latn srp_Cyrl ssw_Latn sun_Latn swe_Latn swh_Latn tam_Taml tel_Telu tgk_Cyrl tgl_Latn
tha_Thai tir_Ethi tsn_Latn tso_Latn tur_Latn ukr_Cyrl urd_Arab urd_Latn uzn_Latn vie_Latn war_Latn wol_Latn xho_Latn
yor_Latn zho_Hans zho_Hant zsm_Latn zul_Latn
""".split()
)


def _origin(language: str, split: str) -> Origin:
    files = (f"belebele/{language}.jsonl", f"{language}.jsonl", f"data/{language}.jsonl")
    return Origin("facebook/belebele", language, "test", REVISION, files)


def _instance(row: Row, language: str, protocol: str) -> Instance:
    passage, question = row["flores_passage"], row["question"]
    answers = tuple(row[f"mc_answer{i}"] for i in range(1, 5))
    context = f"{passage} {question}"
    prompt, continuations = context, answers
    if protocol == "letters":
        listed = "\n".join(f"{letter}: {answer}" for letter, answer in zip(LETTERS, answers, strict=True))
        prompt, continuations = f"P: {passage}\nQ: {question.strip()}\n{listed}\nAnswer:", LETTERS
    identity = f"{row['link']}#{row['question_number']}"
    gold = counted_from_one(row["correct_answer_num"])
    return Instance(identity, row["link"], context, context, answers, gold, prompt, continuations)


TASK = Task(
    name="belebele",
    title="Belebele",
    languages=LANGUAGES,
    pivot="eng_Latn",
    n_options=4,
    protocols=("letters", "options"),
    origin=_origin,
    instance=_instance,
    dev=False,
    source="Bandarkar et al. 2024, The Belebele Benchmark (CC BY-SA 4.0)",
)
