-- Results that are not JSON.

alter table syncline.export add column format text not null default 'json';
comment on column syncline.export.format is 'What the file is: the dataFormat with which it was asked for';
