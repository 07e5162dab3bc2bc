//! The table of keys in Russian: what sections are for, what keys mean, what may stand there.
//!
//! Texts stand here under the names of section and key, and not in the rows of the table, so that one who reads Russian reads them
//! as one text. Tests hold that none is missing, that none is of a key that is gone, and that numbers and names are those of the
//! English text.

/// The first lines of the sample.
pub(super) const HEAD: &str = "Настройки retracker: каждый ключ со смыслом, границами и значением по умолчанию. В таком виде файл ничего не \
    меняет; оставьте в нём только то, что меняете.\n\
    Путь к файлу задаёт --config, иначе переменная RETRACKER_CONFIG; если они не заданы, читается /config/config.ini, а если нет и его — \
    config/config.ini в рабочем каталоге; инструменты и --check-config ищут после этого ещё /etc/retracker/config.ini, и пути в нём \
    отсчитываются от /var/lib/retracker. Комментарий занимает строку целиком или отделён от значения двумя пробелами; строка с отступом \
    продолжает значение предыдущей; знак % можно удваивать.\n\
    Переменная RETRACKER_РАЗДЕЛ_КЛЮЧ в .env или в окружении заменяет ключ из этого файла, командная строка заменяет и то и другое.";

/// A section: its name, what it is for, its keys with what they mean.
pub(super) struct Texts {
    pub name: &'static str,
    pub about: &'static str,
    pub keys: &'static [(&'static str, &'static str)],
}

/// What a section is for.
pub(super) fn section(name: &str) -> Option<&'static str> {
    texts(name).map(|texts| texts.about)
}

/// What a key means.
pub(super) fn key(section: &str, name: &str) -> Option<&'static str> {
    let mut keys = texts(section)?.keys.iter();
    keys.find(|(key, _)| *key == name).map(|(_, about)| *about)
}

/// A line of a section whose keys are names that the operator gives, where it says something in words.
pub(super) fn example(section: &str) -> Option<&'static str> {
    (section == "ZONE_WARNINGS").then_some("moscow/north = Сегодня ночью ремонт магистрали")
}

fn texts(section: &str) -> Option<&'static Texts> {
    SECTIONS.iter().find(|texts| texts.name == section)
}

/// What may stand there, as a sentence without its full stop; `english` is what [`Slot::expects`](super::value::Slot::expects)
/// says.
pub(super) fn expects(english: &str) -> Option<String> {
    let numbers = [
        ("a whole number from ", "Целое число"),
        ("a number from ", "Число"),
    ];
    for (prefix, kind) in numbers {
        if let Some((least, most)) = english
            .strip_prefix(prefix)
            .and_then(|bounds| bounds.split_once(" to "))
        {
            return Some(format!("{kind} от {least} до {most}"));
        }
    }
    if let Some(names) = english.strip_prefix("one of ") {
        return Some(format!("Одно из: {names}"));
    }
    let mut kinds = KINDS.iter();
    let (_, kind) = kinds.find(|(known, _)| *known == english)?;
    Some((*kind).to_owned())
}

const KINDS: &[(&str, &str)] = &[
    ("yes or no", "Одно из двух: yes или no"),
    ("text", "Текст"),
    ("text, or nothing", "Текст или пусто"),
    ("a path", "Путь"),
    ("paths, or nothing", "Пути или пусто"),
    (
        "addresses, as 0.0.0.0 or [2001:db8::1]:8443, or nothing",
        "Адреса, например 0.0.0.0 или [2001:db8::1]:8443, или пусто",
    ),
    ("a path, or nothing", "Путь или пусто"),
    (
        "a port from 1 to 65535, or nothing",
        "Порт от 1 до 65535 или пусто",
    ),
    (
        "addresses, as 0.0.0.0 or [2001:db8::1]:8080, or nothing for all",
        "Адреса, например 0.0.0.0 или [2001:db8::1]:8080; пусто — все адреса",
    ),
    (
        "addresses and networks, as 10.0.0.0/8 2001:db8::7",
        "Адреса и сети, например 10.0.0.0/8 2001:db8::7",
    ),
    (
        "pairs of networks, as 100.64.0.0/16=198.51.100.0/24",
        "Пары сетей, например 100.64.0.0/16=198.51.100.0/24",
    ),
    ("zones, separated by commas", "Зоны через запятую"),
    (
        "beginnings of peer ids, as -XL0012-, or * for every client",
        "Начала peer id, например -XL0012-, или * для всех клиентов",
    ),
    ("host names, or nothing", "Имена хостов или пусто"),
    (
        "announce addresses, or nothing",
        "Адреса для анонсов или пусто",
    ),
    (
        "a format, as %(asctime)s [%(levelname)s] %(message)s",
        "Формат, например %(asctime)s [%(levelname)s] %(message)s",
    ),
];

pub(super) const SECTIONS: &[Texts] = &[
    Texts {
        name: "TRACKER",
        about: "Где трекер принимает запросы, что выдаёт и кого обслуживает.",
        keys: TRACKER,
    },
    Texts {
        name: "HTTP",
        about: "Трекер по HTTP: число потоков и ограничения для одного клиента.",
        keys: HTTP,
    },
    Texts {
        name: "TLS",
        about: "HTTPS для анонсов, scrape, страниц и API на отдельных адресах: TLS 1.2 и 1.3. Сертификаты перечитываются по SIGHUP и при \
            изменении их файлов, соединения при этом не рвутся; негодный сертификат отклоняется, и остаётся прежний.",
        keys: TLS,
    },
    Texts {
        name: "UDP",
        about: "Трекер по UDP (BEP 15) для тех же роёв.",
        keys: UDP,
    },
    Texts {
        name: "ZONES",
        about: "Сети по их расположению. Имя зоны — путь; два клиента тем ближе, чем длиннее общее начало их путей, и список \
            заполняется от самых близких. Зону клиента определяет сеть с длиннейшим префиксом. Когда сетей очень много, им место в файле \
            [TRACKER] zones_file.",
        keys: &[],
    },
    Texts {
        name: "ZONE_WARNINGS",
        about: "Сообщения, которые показываются клиентам зоны и зон внутри неё.",
        keys: &[],
    },
    Texts {
        name: "SNAPSHOTS",
        about: "База данных: благодаря ей рои переживают перезапуск, в ней же чёрный список.",
        keys: SNAPSHOTS,
    },
    Texts {
        name: "STATS",
        about: "Страницы со статистикой и чёрным списком, вход на них.",
        keys: STATS,
    },
    Texts {
        name: "USERS",
        about: "Кто ещё может входить на страницы, кроме пользователя из [STATS] (он оператор): имя, роль и за ней хеш, который печатает \
            `retracker hash-password`. Наблюдатель (viewer) видит страницы и ничего не меняет; оператор (operator) блокирует, создаёт \
            токены и видит журнал действий. Перечитывается и по SIGHUP: кого удалили, кому сменили роль или пароль, тот сразу \
            выходит.",
        keys: &[],
    },
    Texts {
        name: "FLASK",
        about: "Сеансы на страницах; раздел назван по фреймворку, на котором работал исходный ретрекер.",
        keys: FLASK,
    },
    Texts {
        name: "LOGGING",
        about: "Что пишется в журнал и куда. Под systemd вывод на консоль попадает в его журнал, который сам добавляет время.",
        keys: LOGGING,
    },
];

const TRACKER: &[(&str, &str)] = &[
    (
        "host",
        "Адреса, на которых принимать запросы; у каждого может быть свой порт. Пусто: все адреса, IPv4 и IPv6; 0.0.0.0 — только все \
         адреса IPv4, :: — только все адреса IPv6.",
    ),
    (
        "port",
        "Порт TCP для HTTP, он же порт UDP, если в [UDP] не указан другой.",
    ),
    (
        "free_bind",
        "Можно ли занимать адреса из host, которых у машины пока нет: например, на резервной машине с переходящим адресом.",
    ),
    (
        "mode",
        "direct: адрес клиента — тот, с которого пришло соединение. proxy: он берётся из заголовка, который прислал доверенный прокси.",
    ),
    (
        "trusted_proxies",
        "Прокси, которым трекер верит в режиме proxy.",
    ),
    (
        "use_x_real_ip",
        "Читать ли X-Real-IP в режиме proxy, если нет X-Forwarded-For.",
    ),
    (
        "use_x_forwarded_for",
        "Читать ли X-Forwarded-For в режиме proxy: справа налево, минуя доверенные прокси.",
    ),
    (
        "admin_networks",
        "Сети администраторов: кому видны /metrics и подробности /status и кто может пользоваться run_gc_key.",
    ),
    (
        "ignore_reported_ip",
        "Не учитывать адреса, которые клиенты сообщают о себе сами.",
    ),
    (
        "verify_reported_ip",
        "Учитывать сообщённый адрес, только если его подтверждает заголовок доверенного прокси или пара сетей. Без этой проверки кто \
         угодно может направить ваших абонентов на любой публичный адрес.",
    ),
    (
        "allow_internal_ip",
        "Может ли сообщённый адрес быть частным, если его не подтверждает пара сетей.",
    ),
    (
        "address_pairs",
        "Сети, у хостов которых есть внутренний адрес и внешний: тем, кто внутри, выдаётся внутренний. Если обе сети одного размера, \
         хост занимает в них одно и то же место; если разного, второй адрес сообщают сами клиенты, а для этого нужно \
         ignore_reported_ip = no.",
    ),
    (
        "announce_interval",
        "Интервал между анонсами клиента, в секундах.",
    ),
    (
        "interval_jitter",
        "Разброс интервала в ответах, в процентах в обе стороны: чтобы анонсы клиентов не приходили одновременно.",
    ),
    (
        "min_interval_share",
        "Значение `min interval` в ответе, в процентах от интервала в том же ответе. rTorrent присылает анонсы именно с этим периодом.",
    ),
    (
        "peer_expire_factor",
        "Сколько интервалов после последнего анонса пир ещё выдаётся другим. Меньше 2 — то же, что 2.",
    ),
    (
        "numwant",
        "Сколько пиров выдавать клиенту, который не указал, сколько ему нужно.",
    ),
    (
        "max_numwant",
        "Максимум пиров в ответе, сколько бы клиент ни просил.",
    ),
    (
        "seed_share",
        "Максимальная доля сидов в списке для лича, в процентах; больше их бывает, только если для списка не хватает личей.",
    ),
    (
        "selection",
        "Правило выдачи там, где есть зоны. few: выдаются соседи (пиры из верхней зоны клиента) и, как правило, не больше одного \
         чужого, чтобы извне в зону попадало мало копий файла; списки получаются короче запрошенных. shares: список заполняется \
         целиком — близкими пирами до доли local_share, остальное чужими.",
    ),
    (
        "enough",
        "Для правила few: сколько пиров нужно личу. Если соседей у него меньше, список дополняется чужими до этого числа.",
    ),
    (
        "short_interval",
        "Для правила few: укороченный интервал, в секундах. Некоторым клиентам, в чьей зоне нет нужных им данных, следующий анонс \
         назначается через время от одного до двух таких интервалов. 0: через обычный интервал, как всем.",
    ),
    (
        "local_share",
        "Максимальная доля близких пиров в списке, в процентах; больше их бывает, только если для списка не хватает более далёких. \
         Для правила few более далёкие — это остальные пиры верхней зоны клиента.",
    ),
    (
        "min_external",
        "Минимум чужих в списке, если они есть. Столько же мест остаётся за пирами своей зоны, которые не относятся к ближайшим: \
         иначе рой распался бы на части. В правиле few число чужих от этого ключа не зависит.",
    ),
    (
        "zones_file",
        "Файл с остальными сетями зон, по одной в строке: `10.7.0.0/24 moscow/north/building-7`. Пусто: такого файла нет.",
    ),
    (
        "strict_zones",
        "Закрытые зоны: их клиентам, включая клиентов зон внутри них, выдаются только пиры той же закрытой зоны.",
    ),
    (
        "nat_zones",
        "Зоны, все клиенты которых, включая клиентов зон внутри них, находятся за одним адресом: каждому выдаются три пира с его \
         же адреса, а не два.",
    ),
    (
        "max_line_rate",
        "Наибольшая скорость линии абонента, в МиБ в секунду: ограничивает оценку трафика, оставшегося внутри сети.",
    ),
    (
        "compact_default",
        "Выдавать ли пиров в компактном виде клиенту, который не указал, в каком виде они ему нужны.",
    ),
    (
        "external_ip",
        "Сообщать ли клиенту в ответе его собственный адрес (BEP 24).",
    ),
    (
        "max_scrape",
        "Максимум раздач в одном запросе scrape по HTTP. 0: запросы scrape отклоняются.",
    ),
    (
        "run_gc_key",
        "Имя параметра анонса: анонс из сети администраторов с таким параметром запускает уборку и получает в ответ `OK`; в остальных \
         анонсах параметр ничего не значит. Пусто: такого параметра нет.",
    ),
    (
        "ignore_ip",
        "Клиенты, которым трекер отказывает в анонсах и scrape. Абоненты с частными адресами — такие же клиенты, как все: не вносите сюда \
         их сети.",
    ),
    (
        "deny_clients",
        "Программы-клиенты, которым трекер отказывает, по началу их peer id.",
    ),
    (
        "allow_clients",
        "Исключения из deny_clients; из подходящих решает самое длинное начало.",
    ),
    (
        "peer_cleanup_period",
        "Интервал между уборками, которые освобождают память, занятую просроченными пирами, в секундах.",
    ),
    ("max_peers", "Максимум хранимых пиров. 0: без ограничения."),
    (
        "max_torrents",
        "Максимум хранимых раздач с пирами и такой же максимум раздач без пиров. 0: без ограничения.",
    ),
    (
        "max_peers_per_torrent",
        "Максимум хранимых пиров одной раздачи. 0: без ограничения.",
    ),
    (
        "max_torrents_per_address",
        "Максимум записей о пирах с одного адреса (IPv6: с одной /64) во всех раздачах вместе, включая те, которые он докачал и \
         покинул. Для сетей /24 и /48 максимум в 16 раз больше, для /56 — в четыре раза; если сеть его исчерпала, каждой её 256-й \
         части по-прежнему достаётся 1/256 от него. 0: без ограничения.",
    ),
    (
        "max_ports_per_address",
        "Максимум портов одного адреса (IPv6: одной /64) в одной раздаче. 0: без ограничения.",
    ),
    (
        "keep_downloaded",
        "Сколько секунд хранить число скачиваний раздачи, у которой не осталось пиров.",
    ),
    (
        "keep_peer_ids",
        "Хранить ли peer id: по 20 байт на пира. Без них нет подсчёта клиентов по названиям, а в некомпактных ответах — peer id.",
    ),
];

const HTTP: &[(&str, &str)] = &[
    (
        "workers",
        "Сколько потоков отвечает на запросы. 0: по одному на ядро.",
    ),
    (
        "max_request_bytes",
        "Наибольший размер заголовка запроса вместе со строкой запроса, в байтах; на больший трекер отвечает отказом.",
    ),
    (
        "request_timeout",
        "За сколько секунд запрос должен прийти целиком, как бы медленно его ни передавали.",
    ),
    (
        "idle_timeout",
        "Сколько секунд соединение может молчать между запросами. 0: соединение закрывается после каждого ответа.",
    ),
    (
        "write_timeout",
        "Сколько секунд есть у клиента, чтобы прочитать ответ.",
    ),
    (
        "max_requests",
        "Максимум запросов в одном соединении. 0: без ограничения.",
    ),
    (
        "max_connections",
        "Максимум одновременных соединений. 0: сколько позволяет предел числа открытых файлов, минус 160.",
    ),
    (
        "max_connections_per_address",
        "Максимум одновременных соединений с одного адреса (IPv6: с одной /64); у доверенных прокси их может быть больше. 0: без \
         ограничения.",
    ),
];

const TLS: &[(&str, &str)] = &[
    (
        "listen",
        "На каких адресах принимать HTTPS; порт у каждого свой или 443. Пусто: HTTPS нет.",
    ),
    (
        "certificate",
        "Файлы сертификатов в PEM, каждый с цепочкой за ним, как fullchain.pem у certbot. Клиенту показывается первый, выданный на \
         запрошенное им имя, а если такого нет — самый первый; на одно имя может быть два сертификата с ключами разного вида.",
    ),
    (
        "key",
        "Файлы их закрытых ключей в PEM, без пароля, в том же порядке; пользователь трекера должен иметь право их читать, а больше \
         никто. Пусто: ключ лежит в файле своего сертификата.",
    ),
    (
        "handshake_timeout",
        "За сколько секунд должно завершиться рукопожатие TLS.",
    ),
    (
        "max_handshakes",
        "Максимум одновременных рукопожатий; лишние соединения сразу закрываются. Рукопожатие стоит столько же, сколько десятки анонсов, \
         и тот, кто начинает их много, не должен мешать остальным.",
    ),
    (
        "max_handshakes_per_address",
        "Максимум из них с одного адреса (IPv6: с одной /64); у доверенных прокси их может быть больше. 0: без ограничения.",
    ),
    (
        "hsts",
        "Сколько секунд браузер, открывший страницу по HTTPS, обращается к этому хосту только так, на любом порту: страницы на порту \
         без TLS в нём всё это время не открываются. 0: браузеру это не сообщается.",
    ),
];

const UDP: &[(&str, &str)] = &[
    ("enabled", "Работает ли трекер по UDP."),
    (
        "port",
        "Порт UDP на адресах из [TRACKER] host. Пусто: тот же, что у HTTP.",
    ),
    (
        "workers",
        "Сколько потоков на каждый адрес. 0: по одному на ядро.",
    ),
    (
        "receive_buffer",
        "Буфер приёма каждого сокета, в байтах; система даёт не больше net.core.rmem_max. 0: сколько даёт система.",
    ),
    (
        "send_buffer",
        "Буфер отправки каждого сокета, в байтах. 0: сколько даёт система.",
    ),
    (
        "pin_source",
        "Отправлять ли ответ с того адреса, на который пришёл запрос, если сокет принимает запросы на всех адресах. auto: да.",
    ),
];

const SNAPSHOTS: &[(&str, &str)] = &[
    (
        "file",
        "База SQLite; каталог для неё создаётся. Одновременно с ней работает только один процесс.",
    ),
    (
        "interval",
        "Интервал между снимками, в секундах. 0: только при остановке и по команде.",
    ),
];

const STATS: &[(&str, &str)] = &[
    (
        "enabled",
        "Есть ли страницы и API. /health, /ready и /metrics остаются и без них.",
    ),
    ("access_username", "Имя пользователя для входа."),
    (
        "access_password",
        "Пароль для входа: строка, которую печатает `retracker hash-password`, или открытый текст (с предупреждением). Пусто: пароль \
         создаётся при первом запуске и один раз показывается на консоли.",
    ),
    (
        "templates",
        "Каталог с шаблонами, которые берутся вместо встроенных. Пусто: такого каталога нет.",
    ),
    (
        "session_idle",
        "Через сколько секунд без просмотра страниц сеанс завершается.",
    ),
    (
        "session_limit",
        "Через сколько секунд сеанс завершается в любом случае.",
    ),
    (
        "login_failures",
        "Сколько раз за время login_window можно ввести неверный пароль с одного адреса (IPv6: с одной /64), прежде чем придётся \
         ждать.",
    ),
    (
        "login_window",
        "Сколько секунд учитывается неверный пароль.",
    ),
    (
        "max_page_connections",
        "Максимум одновременных соединений со страницами; лишние получают отказ. Для сетей администраторов есть ещё 64, которые \
         больше никто не займёт.",
    ),
    (
        "max_page_connections_per_address",
        "Максимум одновременных соединений со страницами с одного адреса (IPv6: с одной /64) вне сетей администраторов. 0: без \
         ограничения.",
    ),
    (
        "page_limit",
        "Через сколько секунд соединение со страницей закрывается в любом случае.",
    ),
    (
        "host_names",
        "Имена, по которым сетям администраторов доступны /metrics и всё остальное, что не требует входа; IP-адреса, localhost, \
         retracker.local и имя самой машины действуют и без этого. Укажите имя, по которому к трекеру обращается система \
         мониторинга. Если бы годилось любое имя, посторонний сайт мог бы прочитать эти сведения через браузер администратора.",
    ),
    (
        "refresh",
        "Раз в сколько секунд страница запрашивает текущие показатели. 0: никогда.",
    ),
    (
        "subscriber_page",
        "Адреса для анонсов, которые абонентам нужно добавить в свои клиенты, например http://retracker.local/announce \
         udp://retracker.local:80/announce. Если они указаны, страница по адресу / рассказывает всем, без входа, как это сделать; они \
         же показаны на странице «Обзор». Пусто: такой страницы нет, / ведёт к статистике.",
    ),
];

const FLASK: &[(&str, &str)] = &[(
    "secret_key",
    "Ключ, которым подписаны cookie сеансов, не короче 64 байт; более короткий или взятый из образца не используется, о чём трекер \
     предупреждает. Пусто: ключ создаётся при первом запуске и сохраняется.",
)];

const LOGGING: &[(&str, &str)] = &[
    (
        "level",
        "Самый низкий уровень записей, которые попадают в журнал. Изменение применяется по SIGHUP.",
    ),
    (
        "console_output",
        "Писать ли журнал в стандартный поток ошибок.",
    ),
    (
        "log_file",
        "Файл журнала; каталог для него создаётся. По SIGUSR1 файл открывается заново: это нужно для logrotate. Пусто: файла нет.",
    ),
    (
        "max_bytes",
        "Максимальный размер файла, в байтах: прежде чем он будет превышен, выполняется ротация. 0: никогда.",
    ),
    (
        "backup_count",
        "Сколько копий хранить при ротации: retracker.log.1 и так далее. 0: ротация не выполняется.",
    ),
    (
        "clear_on_start",
        "Удалять ли при запуске файл журнала и его копии.",
    ),
    (
        "format",
        "Вид строки журнала, с именами из модуля logging языка Python; %% — знак процента, как и одиночный %.",
    ),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::{Config, keys};
    use super::*;

    #[test]
    fn every_section_and_key_and_what_it_expects_has_a_russian_text() {
        for known in keys::SECTIONS {
            let about = section(known.name).expect(known.name);
            assert!(about.ends_with('.'), "{about}");
        }
        let mut config = Config::default();
        for (section, known) in keys::all() {
            let about = key(section.name, known.name).expect(known.name);
            assert!(about.ends_with('.'), "{about}");
            let english = (known.slot)(&mut config).expects();
            assert!(expects(&english).is_some(), "{}: {english}", known.name);
        }
    }

    #[test]
    fn no_russian_text_is_of_a_key_that_is_gone() {
        for texts in SECTIONS {
            assert!(keys::section(texts.name).is_some(), "{}", texts.name);
            for (name, _) in texts.keys {
                assert!(keys::find(texts.name, name).is_some(), "{name}");
            }
        }
        let mut config = Config::default();
        let slots = keys::all().map(|(_, key)| (key.slot)(&mut config).expects());
        let kinds: BTreeSet<String> = slots.collect();
        for (kind, _) in KINDS {
            assert!(kinds.contains(*kind), "{kind}");
        }
    }

    /// What must be the same in every language: numbers, and names with an underscore.
    fn figures(text: &str) -> BTreeSet<&str> {
        let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let names = words.filter(|word| word.contains('_'));
        let numbers = text.split(|c: char| !c.is_ascii_digit());
        names
            .chain(numbers.filter(|number| !number.is_empty()))
            .collect()
    }

    #[test]
    fn numbers_and_names_are_those_of_the_english_text() {
        for known in keys::SECTIONS {
            let about = section(known.name).unwrap();
            assert_eq!(figures(about), figures(known.about), "{about}");
        }
        let mut config = Config::default();
        for (section, known) in keys::all() {
            let about = key(section.name, known.name).unwrap();
            let missing: Vec<_> = figures(known.about)
                .difference(&figures(about))
                .copied()
                .collect();
            assert!(missing.is_empty(), "{about}: {missing:?}");
            let english = (known.slot)(&mut config).expects();
            assert_eq!(figures(&expects(&english).unwrap()), figures(&english));
        }
    }
}
