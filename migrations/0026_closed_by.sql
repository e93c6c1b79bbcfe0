-- Whoever applied or dismissed a refused edit is in the books by name: it need not be an administrator, and there may be many.

alter table syncline.rejected_edit drop constraint rejected_edit_closed_by_check;
comment on column syncline.rejected_edit.closed_by is
  'Who applied or dismissed it: a user; administrator: somebody who was nobody in particular; client: a later edit of its sender said as much';
