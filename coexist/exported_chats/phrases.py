"""What WhatsApp itself writes into an exported chat, in 21 languages of the app. Data only; ``reading`` compares.

English, Spanish, Portuguese, French, German, Italian, Dutch, Turkish, Russian, Arabic, Hebrew, Hindi, Indonesian; and
with fewer wordings Polish, Ukrainian, Romanian, Swedish, Malay, Chinese, Japanese and Korean.

Compared without marks, angle brackets, final stops and capitals. What is in no table here stays what the file says: a
text. Where two wordings of one language stand, the app changed its words between versions.
"""

from __future__ import annotations

from typing import Final


def _set(phrases: str) -> frozenset[str]:
    """The phrases of a text, one a line or several with bars between."""
    return frozenset(phrase.strip() for line in phrases.split("\n") for phrase in line.split("|"))


ATTACHED: Final = _set(
    """attached|file attached|adjunto|anexo|archivo adjunto|anexado|arquivo anexado|ficheiro anexado|pièce jointe
    fichier joint|anhang|angehängt|datei angehängt|allegato|file allegato|bijgevoegd|bestand bijgevoegd|eklendi
    dosya ekli|прикреплено|вложено|файл добавлен|المُرفق|مُرفق|مرفق|الملف مرفق|ملف مرفق|מצורף|קובץ מצורף|הקובץ מצורף
    अटैच किया गया|फ़ाइल संलग्न|फाइल अटैच कर दी गई है|terlampir|file terlampir|załączono|plik załączony|plik dołączony
    долучено|файл долучено|файл додано|atașat|fișier atașat|bifogad|bifogat|fil bifogad|dilampirkan|fail dilampirkan
    附件|文件附件|檔案附件|附加檔案|添付ファイル|ファイル添付|첨부됨|파일 첨부됨"""
)
"""Beside the name of a file: ``<attached: name>`` on iOS, ``name (file attached)`` on Android."""

OMITTED: Final[dict[str, str | None]] = {
    phrase: kind
    for kind, phrases in (
        (
            None,
            """media omitted|multimedia omitido|archivo omitido|mídia oculta|mídia omitida|arquivo de mídia oculto
            ficheiro não revelado|multimédia omitida|médias omis|fichier omis|médias absents|medien ausgeschlossen
            medien weggelassen|media omessi|media omesso|media weggelaten|medya dahil edilmedi|medya atlanmış
            без медиафайлов|файл пропущен|медиафайл пропущен|تم استبعاد الوسائط|الوسائط مستبعدة|המדיה לא נכללה
            מדיה הושמטה|המדיה הושמטה|मीडिया के बिना|मीडिया छोड़ा गया|media tidak disertakan
            pominięto multimedia|multimedia pominięte|pominięto media|медіа пропущено|без медіафайлів|файл пропущено
            media omise|fișier media omis
            media har utelämnats|media utelämnades|media utelämnat|media disingkirkan|media dikecualikan
            省略多媒体文件|媒体已忽略|媒体文件已忽略|省略多媒體檔案|略過多媒體檔案|媒體已略去|メディアは含まれていません
            メディア省略|メディアが省略されました|미디어 파일을 제외한 내용|미디어 파일 생략됨|미디어 파일 제외됨""",
        ),
        (
            "image",
            """image omitted|imagen omitida|imagem ocultada|imagem omitida|imagem não revelada|image absente
            bild weggelassen|immagine omessa|afbeelding weggelaten|görüntü dahil edilmedi|изображение отсутствует
            изображение пропущено|لم يتم إدراج الصورة|تم استبعاد الصورة|התמונה הושמטה|תמונה הושמטה|फ़ोटो हटाई गई
            फ़ोटो छोड़ी गई|gambar tidak disertakan|pominięto obraz|pominięto zdjęcie|зображення пропущено|imagine omisă
            bild utelämnad|bilden har utelämnats|imej disingkirkan|图像已省略|图片已省略|忽略图片|圖片已略去|忽略圖片
            画像は含まれていません|画像が省略されました|사진 생략됨|이미지 생략됨""",
        ),
        (
            "video",
            """video omitted|video omitido|vídeo omitido|vídeo ocultado|vídeo não revelado|vidéo absente
            video weggelassen|video omesso|video weggelaten|video dahil edilmedi|видео отсутствует|видео пропущено
            لم يتم إدراج الفيديوهات|لم يتم إدراج الفيديو|تم استبعاد الفيديو|סרטון הווידאו הושמט|הסרט הושמט
            वीडियो छोड़ा गया|video tidak disertakan|pominięto film|pominięto wideo|відео пропущено|video omis
            video utelämnad
            video disingkirkan|视频已省略|忽略视频|影片已略去|忽略影片|動画は含まれていません|동영상 생략됨
            gif omitted|gif omitido|gif omitida|gif retiré|gif weggelassen
            gif esclusa|gif weggelaten|gif dahil edilmedi|gif отсутствует|gif пропущен|لم يتم إدراج صورة gif|gif הושמט
            gif छोड़ा गया|gif tidak disertakan|video note omitted|nota de video omitida|nota de vídeo omitida
            mensagem de vídeo omitida|videonotiz ausgelassen|videonachricht weggelassen""",
        ),
        (
            "audio",
            """audio omitted|audio omitido|áudio ocultado|áudio omitido|ficheiro de áudio não revelado|audio omis
            audio weggelassen|audio omesso|audio weggelaten|ses dahil edilmedi|аудиофайл отсутствует|аудио пропущено
            لم يتم إدراج المقاطع الصوتية|لم يتم إدراج المقطع الصوتي|קטע קול הושמט|השמע הושמט|ऑडियो हटाई गयी
            ऑडियो छोड़ा गया|audio tidak disertakan|pominięto dźwięk|pominięto audio|аудіо пропущено|audio utelämnat
            audio disingkirkan|音频已省略|忽略音频|音訊已略去|忽略音訊|音声は含まれていません|오디오 생략됨""",
        ),
        (
            "sticker",
            """sticker omitted|sticker omitido|figurinha omitida|sticker não revelado|sticker omis|sticker weggelassen
            sticker non incluso|sticker weggelaten|çıkartma dahil edilmedi|стикер не добавлен|стикер пропущен
            تم حذف الملصقات|تم استبعاد الملصق|סטיקר הושמט|स्टिकर छोड़ा गया|stiker tidak disertakan|pominięto naklejkę
            наліпку пропущено|стікер пропущено|sticker utelämnad|pelekat disingkirkan|贴图已省略|忽略贴图|貼圖已略去
            忽略貼圖|スタンプは含まれていません|스티커 생략됨""",
        ),
        (
            "document",
            """document omitted|documento omitido|documento não revelado|document manquant|dokument weggelassen
            documento omesso|document weggelaten|belge dahil edilmedi|документ отсутствует|документ пропущен
            لم يتم إدراج المستند|מסמך הושמט|डॉक्यूमेंट छोड़ा गया|dokumen tidak disertakan|pominięto dokument
            документ пропущено|document omis|dokument utelämnat|dokumen disingkirkan|文档已省略|忽略文档|文件已略去
            忽略文件|ドキュメントは含まれていません|문서 생략됨""",
        ),
        (
            "contacts",
            """contact card omitted|tarjeta de contacto omitida|cartão do contato omitido|contacto não revelado
            fiche contact manquante|kontaktkarte ausgelassen|kontaktkarte weggelassen|scheda contatto omessa
            visitekaartje weggelaten|contactkaart weggelaten|kişi kartı dahil edilmedi|карточка контакта отсутствует
            لم يتم إدراج بطاقة جهة اتصال|כרטיס איש קשר הושמט|कॉन्टैक्ट कार्ड छोड़ा गया|kartu kontak tidak disertakan""",
        ),
    )
    for phrase in _set(phrases)
}
"""In the place of a file that was not exported → its kind, None where the phone does not say."""

ONCE: Final = _set(
    """view once voice message omitted|you received a view once photo|you received a view once video
    you received a view once voice message|mensagem de voz de visualização única omitida
    mensaje de voz de visualización única omitido"""
)
"""What could be seen once, and is in no export."""

DELETED: Final = _set(
    """this message was deleted|you deleted this message|se eliminó este mensaje|este mensaje fue eliminado
    eliminaste este mensaje|mensagem apagada|esta mensagem foi apagada|você apagou esta mensagem|apagou esta mensagem
    ce message a été supprimé|vous avez supprimé ce message|diese nachricht wurde gelöscht
    du hast diese nachricht gelöscht|questo messaggio è stato eliminato|hai eliminato questo messaggio
    dit bericht is verwijderd|u hebt dit bericht verwijderd|je hebt dit bericht verwijderd|bu mesaj silindi
    bu mesajı sildiniz|данное сообщение удалено|сообщение удалено|вы удалили данное сообщение
    вы удалили это сообщение|تم حذف هذه الرسالة|لقد حذَفت هذه الرسالة|لقد حذفت هذه الرسالة|أنت حذفت هذه الرسالة
    הודעה זו נמחקה|מחקת את ההודעה הזו|מחקת הודעה זו|यह मैसेज डिलीट कर दिया गया है|यह संदेश मिटाया गया
    आपने यह मैसेज डिलीट किया|आपने यह संदेश मिटाया|pesan ini dihapus|pesan ini telah dihapus|anda menghapus pesan ini
    anda telah menghapus pesan ini|ta wiadomość została usunięta|wiadomość usunięta|usunięto tę wiadomość
    usunąłeś tę wiadomość|usunęłaś tę wiadomość|це повідомлення видалено|повідомлення видалено
    ви видалили це повідомлення|acest mesaj a fost șters|ai șters acest mesaj|ați șters acest mesaj
    detta meddelande har raderats|meddelandet har raderats|du raderade detta meddelande|mesej ini telah dipadam
    mesej ini dipadam|anda telah memadam mesej ini|anda memadam mesej ini|此消息已删除|此消息已被删除|此条消息已删除
    您删除了此消息|您已删除此消息|您删除了这条消息|此訊息已刪除|這則訊息已刪除|您已刪除此訊息|您刪除了此訊息
    您已刪除這則訊息|このメッセージは削除されました|メッセージは削除されました|このメッセージを削除しました
    メッセージを削除しました|삭제된 메시지입니다|메시지가 삭제되었습니다|이 메시지는 삭제되었습니다
    이 메시지를 삭제했습니다|메시지를 삭제했습니다"""
)

EDITED: Final = _set(
    """this message was edited|se editó este mensaje|mensaje editado|mensagem editada|esta mensagem foi editada
    ce message a été modifié|diese nachricht wurde bearbeitet|questo messaggio è stato modificato
    dit bericht is bewerkt|bu mesaj düzenlendi|сообщение изменено|данное сообщение изменено|تم تعديل هذه الرسالة
    ההודעה נערכה|הודעה זו נערכה|यह मैसेज एडिट किया गया|यह मैसेज एडिट किया गया है|pesan ini diedit
    pesan ini telah diedit|ta wiadomość została edytowana|wiadomość edytowana|edytowano tę wiadomość
    це повідомлення змінено|це повідомлення відредаговано|повідомлення змінено|acest mesaj a fost editat
    detta meddelande har redigerats|meddelandet har redigerats|mesej ini telah diedit|mesej ini diedit|此消息已编辑
    此消息已被编辑|此条消息已编辑|此訊息已編輯|這則訊息已編輯|このメッセージは編集されました
    メッセージは編集されました|이 메시지는 수정되었습니다|수정된 메시지입니다"""
)
"""At the end of an edited message, in angle brackets. What it said before is in no export."""

MISSED_CALLS: Final = _set(
    """missed voice call|missed video call|missed group voice call|missed group video call|silenced voice call
    silenced video call|llamada perdida|llamada de voz perdida|videollamada perdida|chamada de voz perdida
    chamada de vídeo perdida|videochamada perdida|ligação de voz perdida|ligação de vídeo perdida|appel vocal manqué
    appel vidéo manqué|verpasster sprachanruf|verpasster videoanruf|chiamata vocale persa|videochiamata persa
    gemist spraakgesprek|gemist videogesprek|gemiste spraakoproep|gemiste video-oproep|cevapsız sesli arama
    cevapsız görüntülü arama|пропущенный аудиозвонок|пропущенный видеозвонок|مكالمة صوتية فائتة|مكالمة فيديو فائتة
    שיחה קולית שלא נענתה|שיחת וידאו שלא נענתה|वॉइस कॉल मिस हुई|वीडियो कॉल मिस हुई|मिस्ड वॉइस कॉल|मिस्ड वीडियो कॉल
    panggilan suara tak terjawab|panggilan video tak terjawab|nieodebrane połączenie głosowe
    nieodebrane połączenie wideo
    nieodebrana rozmowa głosowa|nieodebrana rozmowa wideo|пропущений аудіодзвінок|пропущений голосовий дзвінок
    пропущений відеодзвінок|apel vocal nepreluat|apel video nepreluat|apel vocal pierdut|apel video pierdut
    missat röstsamtal|missat videosamtal|panggilan suara terlepas|panggilan video terlepas|未接语音通话|未接视频通话
    未接語音通話|未接視訊通話|不在着信(音声通話)|不在着信(ビデオ通話)|音声通話不在着信|ビデオ通話不在着信
    부재중 음성 통화|부재중 영상 통화|부재중 음성통화|부재중 영상통화"""
)
"""The whole line of a call that nobody took, or its beginning where WhatsApp's mark stands in the line."""

CALLS: Final = _set(
    """voice call|video call|llamada de voz|videollamada|chamada de voz|chamada de vídeo|ligação de voz
    ligação de vídeo|videochamada|appel vocal|appel vidéo|sprachanruf|videoanruf|chiamata vocale|videochiamata
    spraakoproep|video-oproep|spraakgesprek|videogesprek|sesli arama|görüntülü arama|аудиозвонок|видеозвонок
    مكالمة صوتية|مكالمة فيديو|שיחה קולית|שיחת וידאו|वॉइस कॉल|वीडियो कॉल|panggilan suara|panggilan video
    połączenie głosowe|połączenie wideo|аудіодзвінок|голосовий дзвінок|відеодзвінок|apel vocal|apel video|röstsamtal
    videosamtal|语音通话|视频通话|語音通話|視訊通話|音声通話|ビデオ通話|음성 통화|영상 통화"""
)
"""How the line of a call begins. People write such words too: only where WhatsApp's mark stands in the line."""

ENCRYPTED: Final = (
    *(
        "messages and calls are end-to-end encrypted",
        "messages to this chat and calls are now secured",
        "los mensajes y",
    ),
    *("las mensajes y las llamadas", "as mensagens e", "mensagens e ligações", "les messages et", "i messaggi e le"),
    *("nachrichten und anrufe sind", "nachrichten in diesem chat", "berichten en", "mesajlar ve aramalar"),
    *("сообщения и звонки", "сообщения в данном чате и звонки", "الرسائل والمكالمات", "ההודעות והשיחות"),
    *("הודעות ושיחות", "मैसेज और कॉल", "मैसेजेस और कॉल्स", "pesan dan panggilan", "wiadomości i", "wiadomości wysyłane"),
    *("повідомлення та", "повідомлення й", "повідомлення і", "mesajele și apelurile", "meddelanden och samtal"),
    *(
        "mesej dan panggilan",
        "消息和通话",
        "訊息和通話",
        "訊息及通話",
        "メッセージと通話",
        "메시지와 통화",
        "메시지 및 통화",
    ),
)
"""How the notice begins that opens most chats. Taken for it only with a word of ``ENCRYPTION`` in the same line."""

ENCRYPTION: Final = (
    *("encrypt", "cifrad", "criptografia", "encriptada", "chiffr", "verschlüssel", "crittograf", "versleuteld"),
    *("şifre", "шифр", "مشفر", "مشفّر", "تشفير", "מוצפנ", "הצפנה", "एन्क्रिप्ट", "एंक्रिप्ट", "terenkripsi", "enkripsi"),
    *("szyfrowan", "criptate", "krypter", "disulitkan", "penyulitan", "加密", "暗号化", "암호화"),
)

NOTICES: Final = (
    *("security code", "código de seguridad", "código de segurança", "code de sécurité", "sicherheitsnummer"),
    *("sicherheitscode", "codice di sicurezza", "beveiligingscode", "güvenlik kodu", "код безопасности", "رمز الأمان"),
    *("رمز أمانك", "קוד האבטחה", "सुरक्षा कोड", "सिक्योरिटी कोड", "kode keamanan"),
    *(
        "changed their phone number",
        "changed to a new number",
        "cambió su número",
        "cambió a un número",
        "mudou de número",
    ),
    *("mudou para um novo número", "a changé de numéro", "hat die telefonnummer", "hat eine neue telefonnummer"),
    *("ha cambiato numero", "is van telefoonnummer veranderd", "numarasını değiştirdi", "изменил(а) номер"),
    *("غيّر رقم هاتفه", "הוחלף למספר חדש", "नंबर बदल", "mengganti nomor", "nomor telepon baru"),
    *("disappearing messages", "mensajes temporales", "mensagens temporárias", "messages éphémères"),
    *("selbstlöschende nachrichten", "messaggi effimeri", "zelfverwijderende berichten", "süreli mesajlar"),
    *(
        "исчезающие сообщения",
        "الرسائل ذاتية الاختفاء",
        "הודעות נעלמות",
        "डिसअपीयरिंग मैसेज",
        "गायब होने वाले",
        "pesan sementara",
    ),
    *("business account", "cuenta de empresa", "conta comercial", "compte professionnel", "unternehmenskonto"),
    *("account business", "zakelijk account", "işletme hesabı", "бизнес-аккаунт", "حساب أعمال", "חשבון עסקי"),
    *("बिज़नेस अकाउंट", "akun bisnis", "you blocked this contact", "you unblocked this contact", "is a contact"),
    *("bloqueaste a este contacto", "desbloqueaste a este contacto", "você bloqueou", "você desbloqueou"),
    *("vous avez bloqué", "vous avez débloqué", "du hast diesen kontakt", "hai bloccato", "hai sbloccato"),
    *("je hebt dit contact", "bu kişiyi engellediniz", "вы заблокировали", "вы разблокировали", "لقد حظرت"),
    *("חסמת את", "आपने इस कॉन्टैक्ट", "anda memblokir", "waiting for this message", "pinned a message"),
)
"""Words of the other notices; where lines of WhatsApp's own look like lines of people, its mark must stand before."""

GROUPS: Final = (
    *(
        "created group",
        "created this group",
        "this group",
        "creó el grupo",
        "este grupo",
        "criou o grupo",
        "criou este grupo",
    ),
    *("a créé le groupe", "ce groupe", "hat die gruppe", "gruppe erstellt", "dieser gruppe", "ha creato il gruppo"),
    *(
        "questo gruppo",
        "heeft de groep",
        "heeft groep",
        "deze groep",
        "grubunu oluşturdu",
        "grubu oluşturdu",
        "bu grub",
    ),
    *(
        "создал группу",
        "создал(-а) группу",
        "создал(а) группу",
        "этой группы",
        "группу «",
        "أنشأ المجموعة",
        "هذه المجموعة",
    ),
    *(
        "utworzył grupę",
        "utworzyła grupę",
        "tej grupy",
        "створив групу",
        "створила групу",
        "цієї групи",
        "a creat grupul",
    ),
    *(
        "acest grup",
        "skapade gruppen",
        "den här gruppen",
        "mencipta kumpulan",
        "kumpulan ini",
        "创建了群",
        "建立了群組",
    ),
    *("建立群組", "グループ「", "グループを作成", "그룹을 만들", "그룹을 생성"),
    *("בקבוצה", "הקבוצה", "ग्रुप", "membuat grup", "grup ini", "joined using", "you were added", "fuiste añadid"),
    *("você foi adicionad", "vous avez été ajouté", "du wurdest hinzugefügt", "sei stato aggiunto"),
)
"""Words of notices that only groups have."""

LIVE_LOCATION: Final = _set(
    """live location shared|ubicación en tiempo real compartida|localização em tempo real compartilhada
    localização atual compartilhada|localisation en direct partagée|live-standort wird geteilt|live-standort geteilt
    posizione attuale condivisa|live locatie gedeeld|mevcut konum paylaşıldı|геоданные отправлены
    تم مشاركة الموقع المباشر|משתף מיקום בשידור חי|लाइव स्थान साझा किया गया|lokasi terkini dibagikan"""
)
